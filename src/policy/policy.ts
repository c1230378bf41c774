/**
 * May this identity do this, there? The one function that is asked for every action; nothing reaches an engine that
 * was not put to it. Today it knows the owner, whose keys let in whoever holds them; the rules table replaces its body.
 */
import type { Identity } from '../auth/identity.ts'
import type { Container, ContainerSummary } from '../engine/engine.ts'

export type Action =
  /** See that the container exists. */
  | { readonly kind: 'enter' }
  /** Start the container, or unpause it, because somebody wants in. */
  | { readonly kind: 'start' }
  /** Have a container made from a template of the configuration; there is no container yet. */
  | { readonly kind: 'create'; readonly template: string; readonly personal: boolean }
  | { readonly kind: 'shell' }
  | { readonly kind: 'exec' }
  | { readonly kind: 'sftp' }
  | { readonly kind: 'pty' }
  | { readonly kind: 'env'; readonly name: string }
  | { readonly kind: 'agent' }
  | { readonly kind: 'x11' }
  | { readonly kind: 'forward-local'; readonly host: string; readonly port: number }
  | { readonly kind: 'forward-remote'; readonly host: string; readonly port: number }
  | { readonly kind: 'forward-socket'; readonly path: string; readonly direction: 'local' | 'remote' }

export interface Request {
  /** Who was authenticated. */
  readonly identity: Identity
  /** Absent while it is not known yet (env and pty come before the container was looked up). */
  readonly container?: Container | ContainerSummary
  /** As whom inside, as the client asked; absent: the container's default user. */
  readonly user?: string
  readonly action: Action
}

export type Decision = { readonly allowed: true } | { readonly allowed: false; readonly reason: string }

export interface PolicySettings {
  /** Patterns of environment names a client may set: AcceptEnv of sshd_config(5), "*" and "?". */
  readonly acceptEnv: readonly string[]
}

/** Asynchronous: a decision may be somebody else's, asked over HTTP. */
export type Policy = (request: Request) => Promise<Decision>

export function createPolicy(settings: PolicySettings): Policy {
  const accepted = settings.acceptEnv.map(globToRegExp)
  return async ({ action }) => {
    if (action.kind === 'env' && !accepted.some((pattern) => pattern.test(action.name))) {
      return { allowed: false, reason: `environment variable ${action.name} is not accepted` }
    }
    return { allowed: true }
  }
}

function globToRegExp(glob: string): RegExp {
  const source = glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${source}$`)
}
