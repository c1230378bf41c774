/**
 * May this identity do this, there? The one function that is asked for every action; nothing reaches an engine that
 * was not put to it. What the key takes away comes first, then what the container's labels do, then the rules.
 */
import type { Identity } from '../auth/identity.ts'
import { anyGlobMatches } from '../base/glob.ts'
import type { Rule } from '../config/rules.ts'
import type { Container, ContainerSummary } from '../engine/engine.ts'
import { byRules } from './by-rules.ts'
import type { External } from './external.ts'
import { refusingLabel } from './labels.ts'
import { refusalSentence } from './messages.ts'
import { takenAway } from './restrictions.ts'
import { compileRules } from './rules.ts'
import type { InsideUser } from './users.ts'

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
  /** Who was authenticated. */
  readonly identity: Identity
  readonly origin: Origin
  readonly container: Container | ContainerSummary
  /** As whom inside; absent while only the container is asked for. */
  readonly user?: InsideUser
  readonly action: Action
}

export type Decision = {
  /** For the log and `hatchway policy explain`: `rule 3 "ops"`, "key", "label hatchway.allow", "no rule". */
  readonly by: string
} & (
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
)

export interface PolicySettings {
  /** Absent: whoever was let in may do everything. */
  readonly rules?: readonly Rule[] | undefined
  /** Where in the configuration a rule stands, from 0: "hatchway.yaml:12". */
  readonly where?: ((index: number) => string | undefined) | undefined
  /** Patterns of environment names a client may set: AcceptEnv of sshd_config(5), "*" and "?". */
  readonly acceptEnv: readonly string[]
  /** Where the engine is, for rules that name it. */
  readonly engine: string
  /** Asked where all of this says yes. */
  readonly external?: External | undefined
}

/** Asynchronous: a decision may be somebody else's, asked over HTTP. */
export type Policy = (request: Request) => Promise<Decision>

/** What was looked at on the way to a decision, in order, and why it did not decide. */
export type Step = (by: string, why: string) => void

export function createPolicy(settings: PolicySettings): Policy {
  const decide = compilePolicy(settings)
  const { external } = settings
  return async (request) => {
    const own = decide(request, new Date())
    if (!own.allowed || !external) return own
    const theirs = await external(request)
    return theirs.allowed ? { ...theirs, readOnly: own.readOnly || theirs.readOnly } : theirs
  }
}

/** Pure: the same settings and request at the same time, the same decision. */
export function compilePolicy(settings: PolicySettings): (request: Request, now: Date, step?: Step) => Decision {
  const { rules, acceptEnv, engine, where } = settings
  const table = rules && compileRules(rules, acceptEnv, engine, where)
  return (request, now, step = () => undefined) => {
    const { identity, container, user, action } = request
    const taken = takenAway(identity.restrictions, action, now.getTime())
    if (taken !== undefined) return { allowed: false, by: 'key', reason: taken }
    step('key', 'takes nothing of that away')
    const label = refusingLabel(container.labels, identity, user)
    if (label !== undefined) return { allowed: false, by: `label ${label}`, reason: refusalSentence(request) }
    step('labels', 'none says no')
    if (table) return byRules(table, request, now, step)
    if (action.kind === 'env' && !anyGlobMatches(acceptEnv, action.name)) {
      return { allowed: false, by: 'environment.accept', reason: refusalSentence(request) }
    }
    return { allowed: true, by: 'no rules', readOnly: false }
  }
}
