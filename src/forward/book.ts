/** What forwards tell of themselves: for the log, and for who asks what a connection is used for. */
import { type ContainerFacts, containerFacts } from '../base/connection-facts.ts'
import type { Traffic } from '../bytes/traffic.ts'
import type { Target } from '../container/containers.ts'

export interface ForwardFacts {
  readonly kind: 'local' | 'remote' | 'agent' | 'x11'
  /** Of a local one what it leads to, of all others where its listener is. Client text. */
  readonly place: string
  readonly container: ContainerFacts
  /** The user inside. */
  readonly user: string
  /** Absent: by the helper. */
  readonly road?: 'plain'
}

export interface ForwardBook {
  /** A connection has come to a listener inside. @throws HatchwayError: it may not go on */
  demand(forward: ForwardFacts): void
  /** A connection was forwarded. Returns how to tell that it is over (idempotent). */
  opened(forward: ForwardFacts, traffic: Traffic): () => void
  /** Something listens inside. Returns how to tell that it does so no more (idempotent). */
  listening(forward: ForwardFacts): () => void
}

export function forwardFacts(kind: ForwardFacts['kind'], place: string, { container, info }: Target): ForwardFacts {
  return { kind, place, container: containerFacts(container), user: info.name }
}
