/** What forwards tell of themselves besides what the book takes. */
import type { ContainerFacts, Whose } from '../base/connection-facts.ts'
import type { FailureCode } from '../base/errors.ts'
import type { ForwardFacts } from './book.ts'

/** What was asked for and is not. Client text in it is printable and bounded. */
export interface ForwardFailure {
  readonly type: 'forward-failed'
  readonly whose: Whose
  /** Absent: it did not come so far. */
  readonly container?: ContainerFacts
  readonly user?: string
  readonly kind: ForwardFacts['kind']
  readonly place: string
  readonly reason: string
  /** Absent: something inside refused it. */
  readonly code?: FailureCode
  readonly error?: unknown
}

/** A connection to a container's port 22 that the gateway's own server takes. */
export interface JumpEvent {
  readonly type: 'jump'
  readonly whose: Whose
  /** Client text, printable and bounded. */
  readonly host: string
  readonly refused?: { readonly code: FailureCode; readonly message: string; readonly cause?: unknown }
}
