/** What the policy is asked, and what it answers. */

import type { Identity } from '../auth/identity.ts'
import { connectionFacts, placeFields } from '../base/connection-facts.ts'
import type { RecordTerms } from '../config/recording.ts'
import type { Container, ContainerSummary } from '../engine/engine.ts'
import type { InsideUser } from './users.ts'

export type Action =
  /** See that the container exists; once `user` is known: be let in as that user at all. */
  | { readonly kind: 'enter' }
  /** Start the container, or unpause it, because somebody wants in. */
  | { readonly kind: 'start' }
  /** Put a container of the operator's beside this one, in which nothing of ours can start: it stays there. */
  | { readonly kind: 'debug' }
  /** Have a container made from a template of the configuration; there is no container yet. */
  | { readonly kind: 'create'; readonly template: string; readonly personal: boolean }
  | { readonly kind: 'shell' }
  | { readonly kind: 'exec'; readonly command: Buffer }
  | { readonly kind: 'sftp' }
  | { readonly kind: 'pty' }
  | { readonly kind: 'env'; readonly name: string }
  | { readonly kind: 'agent' }
  | { readonly kind: 'x11' }
  | { readonly kind: 'forward-local'; readonly host: string; readonly port: number }
  /** `bound` is what GatewayPorts makes of the address that was asked for; "" is every one. */
  | { readonly kind: 'forward-remote'; readonly host: string; readonly port: number; readonly bound?: string }
  | { readonly kind: 'forward-socket'; readonly path: string; readonly direction: 'local' | 'remote' }

/** Where a request comes from. */
export interface Origin {
  readonly connectionId: string
  /** The SSH user name as the client sent it. */
  readonly login: string
  /** The host it named before the login, where it did. */
  readonly host?: string
  readonly remote: { readonly address: string; readonly port: number }
}

export interface Request {
  /** The identity that was authenticated. */
  readonly identity: Identity
  readonly origin: Origin
  readonly container: Container | ContainerSummary
  /** As whom inside; absent while only the container is asked for. */
  readonly user?: InsideUser
  readonly action: Action
}

/** For the log. */
export function requestFacts({ identity, origin, container, user, action }: Request) {
  return {
    ...connectionFacts(origin, identity),
    ...placeFields(container),
    user: user?.name,
    action: action.kind,
  }
}

export type Decision = {
  /** For the log and `hatchway policy explain`: `rule 3 "ops"`, "key", "label hatchway.allow", "no rule". */
  readonly by: string
} & (
  | {
      readonly allowed: true
      /** sftp: to read only. */
      readonly readOnly: boolean
      /** Absent: nothing. */
      readonly record?: RecordTerms
    }
  | {
      readonly allowed: false
      /** For the user. */
      readonly reason: string
    }
)

export type Granted = Extract<Decision, { allowed: true }>

/** What was looked at on the way to a decision, in order, and why it did not decide. */
export type Step = (by: string, why: string) => void
