/** What the gateway does to containers themselves. */
import type { ContainerFacts, Whose } from '../base/connection-facts.ts'

export interface ContainerEvent {
  readonly type: 'container'
  /** `swept`: removed, as it was left behind. `accompanied`: a debug container was put beside it. */
  readonly action: 'accompanied' | 'made' | 'removed' | 'swept' | 'started' | 'unpaused' | 'stopped'
  readonly container: ContainerFacts
  /** Of one that was made. */
  readonly template?: string
  /** For whose connection; absent: nobody's, when it is not used any more. */
  readonly whose?: Whose
}

export type EmitContainerEvent = (event: ContainerEvent) => void
