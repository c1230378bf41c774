/** What the SSH server tells of itself. */
import type { ProvedName } from '../base/connection-facts.ts'
import type { DropReason } from './admission.ts'
import type { ArrivalFailure } from './arrival.ts'
import type { AuthContext } from './auth.ts'
import type { Endpoint } from './connection.ts'
import type { Penalty } from './penalties.ts'
import type { AuthFailure } from './userauth.ts'

/** Whose connection it is about; `who` once its client has logged in. */
export interface AboutConnection {
  readonly connectionId: string
  readonly remote: Endpoint
  readonly who?: ProvedName
}

/** Told as facts happen; the listener logs and counts. No secrets in them. */
export type SshServerEvent =
  | { readonly type: 'connect'; readonly connectionId: string; readonly remote: Endpoint }
  /** Closed before it said a word of SSH; without `remote`, before it was taken. */
  | {
      readonly type: 'drop'
      readonly remote?: Endpoint
      readonly reason: DropReason | ArrivalFailure | 'accept'
      readonly detail?: string
    }
  | ({ readonly type: 'penalty' } & Penalty)
  /** ChannelTimeout closed it; `channel` is its type. */
  | ({ readonly type: 'channel-timeout'; readonly channel: string; readonly milliseconds: number } & AboutConnection)
  | {
      readonly type: 'auth'
      readonly context: AuthContext
      /** "keyboard-interactive:totp" where a device was used. */
      readonly method: string
      /** Of the key that was shown; of an identity that another connection proved, the key there. */
      readonly fingerprint?: string
      /** Whom the methods so far have proved. */
      readonly identity?: string
      readonly who?: ProvedName
      /** Why it was refused, where more is known than that it was. */
      readonly reason?: string
      /** Admittance.leadsTo, of one that was accepted. */
      readonly leadsTo?: string
      readonly accepted: boolean
      /** Right, and more is asked for. */
      readonly partial: boolean
      /** Of a refusal. */
      readonly failure?: AuthFailure
      /** Since `connect`. */
      readonly durationMs: number
    }
  | ({
      readonly type: 'disconnect'
      readonly authenticated: boolean
      readonly reason: string
      /** Keys that the client asked about in vain. */
      readonly keysRefused: number
      /** Since `connect`. */
      readonly durationMs: number
    } & AboutConnection)
  /** A handler of ours threw; the client was told nothing of it. */
  | ({ readonly type: 'fault'; readonly error: unknown } & AboutConnection)
