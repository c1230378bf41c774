/** What sessions, and those who look after them, tell. */
import type { ContainerFacts, Whose } from '../base/connection-facts.ts'
import type { FailureCode, HatchwayError } from '../base/errors.ts'
import type { ExitStatus } from '../base/program.ts'
import type { SessionSnapshot } from './registry.ts'

/** What ran. Its command only where `log.commands` asks for it; printable and bounded. */
export interface RanFacts {
  readonly start?: string
  readonly command?: string
}

export type SessionEvent =
  | ({
      readonly type: 'session-started'
      readonly whose: Whose
      readonly session: SessionSnapshot
      readonly road: 'guest' | 'plain'
    } & RanFacts)
  | {
      readonly type: 'session-ended'
      readonly whose: Whose
      readonly session: SessionSnapshot
      readonly status: ExitStatus
    }
  /** A failure of ours, an end by somebody else than its program, or a refusal. */
  | {
      readonly type: 'session-failed'
      readonly whose: Whose
      /** Absent: it did not come so far that it was one. */
      readonly session?: SessionSnapshot
      readonly failure: HatchwayError
      /** What was about to run and was not told of yet. */
      readonly ran: RanFacts
    }
  /** Answered by the gateway itself, to none of its containers. */
  | { readonly type: 'gateway-command'; readonly whose: Whose; readonly command: string }
  /** A login that is one too many. */
  | { readonly type: 'connection-refused'; readonly whose: Whose; readonly code: FailureCode; readonly message: string }

/** Ended by an administrator. */
export type KillEvent = {
  readonly type: 'killed'
  readonly whose: Whose
  readonly container?: ContainerFacts
  /** The user inside. */
  readonly user?: string
  /** By the admin page: the name of who did. Absent: by the control socket. */
  readonly by?: string
} & ({ readonly what: 'session'; readonly sessionId: string } | { readonly what: 'connection' })
