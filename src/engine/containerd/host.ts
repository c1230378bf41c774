/** What all programs of one containerd share. */
import type { KeyedSemaphore } from '../../lifetime/semaphore.ts'
import type { ContainerdApi } from './api.ts'
import type { ContainerdContainers } from './containers.ts'
import type { FifoFolder } from './fifos.ts'

export interface ExecHost {
  readonly api: ContainerdApi
  readonly containers: ContainerdContainers
  readonly fifos: FifoFolder
  /** By container. */
  readonly gate: KeyedSemaphore
  readonly startLimitMs: number
  /** Those that have not ended, also where nobody listens to them any more. */
  readonly programs: Set<RunningProgram>
  /** Aborts when the engine is closed. */
  readonly closed: AbortSignal
}

export interface RunningProgram {
  readonly containerId: string
  /** It is let go of, and hung up at once; resolves when it was told. Never fails. */
  end(signal: AbortSignal): Promise<void>
}
