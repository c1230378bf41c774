/**
 * May this identity do this, there? The one function that is asked for every action; nothing reaches an engine that
 * was not put to it. First what the key itself takes away, then the rules.
 */
import type { Identity } from '../auth/identity.ts'
import type { Container, ContainerSummary } from '../engine/engine.ts'
import { anyGlobMatches } from './glob.ts'
import { takenAway } from './restrictions.ts'

export type Action =
  /** See that the container exists; once `user` is known: be let in as that user at all. */
  | { readonly kind: 'enter' }
  /** Start the container, or unpause it, because somebody wants in. */
  | { readonly kind: 'start' }
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
  | { readonly kind: 'forward-remote'; readonly host: string; readonly port: number }
  | { readonly kind: 'forward-socket'; readonly path: string; readonly direction: 'local' | 'remote' }

/** Where a request comes from; the same object for all requests of one connection. */
export interface Origin {
  readonly connectionId: string
  /** The SSH user name as the client sent it. */
  readonly login: string
  /** The host it named before the login, where it did. */
  readonly host?: string
  readonly remote: { readonly address: string; readonly port: number }
}

export interface Request {
  /** Who was authenticated. */
  readonly identity: Identity
  readonly origin: Origin
  readonly container: Container | ContainerSummary
  /** As whom inside; absent while only the container is asked for. */
  readonly user?: { readonly name: string; readonly uid: number }
  readonly action: Action
}

export type Decision =
  | {
      readonly allowed: true
      /** sftp: to read only. */
      readonly readOnly: boolean
    }
  | {
      readonly allowed: false
      /** For the user. */
      readonly reason: string
    }

export interface PolicySettings {
  /** Patterns of environment names a client may set: AcceptEnv of sshd_config(5), "*" and "?". */
  readonly acceptEnv: readonly string[]
}

/** Asynchronous: a decision may be somebody else's, asked over HTTP. */
export type Policy = (request: Request) => Promise<Decision>

export function createPolicy(settings: PolicySettings): Policy {
  return async ({ identity, action }) => {
    const reason = takenAway(identity.restrictions, action, Date.now())
    if (reason !== undefined) return { allowed: false, reason }
    if (action.kind === 'env' && !anyGlobMatches(settings.acceptEnv, action.name)) {
      return { allowed: false, reason: `environment variable ${action.name} is not accepted` }
    }
    return { allowed: true, readOnly: false }
  }
}
