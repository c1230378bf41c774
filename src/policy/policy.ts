/**
 * May this identity do this, there? The one function that is asked for every action; nothing reaches an engine that
 * was not put to it. What the key takes away comes first, then what the container's labels do, then the rules.
 */
import { anyGlobMatches } from '../base/glob.ts'
import { type RecordSetting, strictest } from '../config/recording.ts'
import type { Rule } from '../config/rules.ts'
import type { EngineNaming } from '../engine/engine.ts'
import { byRules } from './by-rules.ts'
import type { External } from './external.ts'
import { joined } from './joined.ts'
import { refusingLabel } from './labels.ts'
import { refusalSentence } from './messages.ts'
import type { Decision, Request, Step } from './request.ts'
import { takenAway } from './restrictions.ts'
import { compileRules } from './rules.ts'

export interface PolicySettings {
  /** Absent: every identity that was let in may do everything. */
  readonly rules?: readonly Rule[] | undefined
  /** Where in the configuration a rule stands, from 0: "hatchway.yaml:12". */
  readonly where?: ((index: number) => string | undefined) | undefined
  /** Patterns of environment names a client may set: AcceptEnv of sshd_config(5), "*" and "?". */
  readonly acceptEnv: readonly string[]
  /** For rules that name an engine. Its address is asked for each time: another engine may have come up. */
  readonly engine: EngineNaming
  /** What is recorded where a rule does not say. */
  readonly record?: RecordSetting | undefined
  /** Asked where all of this says yes. */
  readonly external?: External | undefined
}

/** Asynchronous: a decision may be somebody else's, asked over HTTP. */
export type Policy = (request: Request) => Promise<Decision>

export function createPolicy(settings: PolicySettings): Policy {
  const decide = compilePolicy(settings)
  const { external } = settings
  return async (request) => {
    const own = decide(request, new Date())
    if (!own.allowed || !external) return own
    const theirs = await external(request)
    return theirs.allowed ? joined(theirs, own) : theirs
  }
}

/** Pure: the same settings and request at the same time, the same decision. */
export function compilePolicy(settings: PolicySettings): (request: Request, now: Date, step?: Step) => Decision {
  const { rules, acceptEnv, engine, where, record } = settings
  const table = rules && compileRules(rules, acceptEnv, engine, where, record)
  const terms = strictest([record])
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
    return { allowed: true, by: 'no rules', readOnly: false, ...(terms && { record: terms }) }
  }
}
