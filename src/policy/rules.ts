/** The table of rules, compiled once: the first rule that applies decides. Pure. */

import { anyGlobMatches, globMatches } from '../base/glob.ts'
import { type RecordSetting, type RecordTerms, strictest } from '../config/recording.ts'
import type { Rule } from '../config/rules.ts'
import { type EngineNaming, engineNames } from '../engine/engine.ts'
import { contains, parseAddress } from '../net/address.ts'
import { covers, PURPOSES, type Purpose, wholly } from './actions.ts'
import { compileHours, type Hours } from './hours.ts'
import type { Request } from './request.ts'
import { userMatches } from './users.ts'

/** Rules as they are looked at. */
export interface RuleTable {
  readonly rules: readonly CompiledRule[]
  /** Names a client may send where a rule does not say: AcceptEnv. */
  readonly acceptEnv: readonly string[]
  readonly engine: EngineNaming
}

export interface CompiledRule {
  readonly rule: Rule
  /** For the log: `rule 3 "developers"`. */
  readonly title: string
  readonly hours: readonly Hours[] | undefined
  readonly record: RecordTerms | undefined
}

/** The first key of a rule that keeps it from applying. */
export type Mismatch = 'who' | 'containers' | 'users' | 'actions' | 'from' | 'when'

export interface RuleVerdict {
  readonly by: CompiledRule
  readonly allowed: boolean
  readonly readOnly: boolean
  /** Absent: nothing. */
  readonly record?: RecordTerms
}

export function compileRules(
  rules: readonly Rule[],
  acceptEnv: readonly string[],
  engine: EngineNaming,
  where: (index: number) => string | undefined = () => undefined,
  /** Where a rule does not say. */
  record?: RecordSetting,
): RuleTable {
  return {
    acceptEnv,
    engine,
    rules: rules.map((rule, index) => ({
      rule,
      title: titleOf(index, rule, where(index)),
      hours: rule.when?.map(compileHours),
      record: strictest([rule.record ?? record]),
    })),
  }
}

function titleOf(index: number, { name }: Rule, where: string | undefined): string {
  return `rule ${index + 1}${name === undefined ? '' : ` "${name}"`}${where === undefined ? '' : ` (${where})`}`
}

/** Undefined: no rule applies. `skipped` is told of each that does not. */
export function firstRule(
  table: RuleTable,
  request: Request,
  now: Date,
  skipped: (rule: CompiledRule, why: Mismatch) => void,
): RuleVerdict | undefined {
  // For `enter`: what of all that could be done here was denied by the rules so far.
  const denied = new Set<Purpose>()
  for (const compiled of table.rules) {
    const { rule } = compiled
    const why = mismatch(compiled, request, table, now)
    if (why !== undefined) {
      skipped(compiled, why)
      continue
    }
    if (request.action.kind !== 'enter') return verdict(compiled, request)
    if (rule.effect === 'allow' && couldDo(rule, denied)) return verdict(compiled, request)
    if (rule.effect === 'deny' && (request.user !== undefined || rule.users === undefined)) {
      for (const purpose of wholly(rule)) denied.add(purpose)
      if (denied.size === PURPOSES.length) return verdict(compiled, request)
    }
    skipped(compiled, 'actions')
  }
  return undefined
}

function couldDo({ actions }: Rule, denied: ReadonlySet<Purpose>): boolean {
  return PURPOSES.some(
    (purpose) => !denied.has(purpose) && (actions === undefined || (actions[purpose] ?? false) !== false),
  )
}

function verdict(by: CompiledRule, { action }: Request): RuleVerdict {
  const { effect, actions } = by.rule
  const readOnly = action.kind === 'sftp' && actions?.sftp === 'read-only'
  return { by, allowed: effect === 'allow', readOnly, ...(by.record && { record: by.record }) }
}

function mismatch({ rule, hours }: CompiledRule, request: Request, table: RuleTable, now: Date): Mismatch | undefined {
  if (!whoMatches(rule, request)) return 'who'
  if (!containerMatches(rule, request, table.engine)) return 'containers'
  if (request.user && !userMatches(rule.users, request.user, rule.effect)) return 'users'
  if (request.action.kind !== 'enter' && !covers(rule, request.action, table.acceptEnv)) return 'actions'
  if (!fromMatches(rule, request)) return 'from'
  if (hours && !hours.some((within) => within(now))) return 'when'
  return undefined
}

function whoMatches({ who }: Rule, { identity }: Request): boolean {
  if (!who) return true
  const any = (patterns: readonly string[] | undefined, values: readonly string[]) =>
    patterns === undefined || values.some((value) => anyGlobMatches(patterns, value))
  return (
    any(who.identities, [identity.name]) &&
    any(who.groups, identity.groups) &&
    any(who.principals, identity.principals) &&
    (who.keys === undefined || who.keys.includes(identity.fingerprint))
  )
}

export function containerMatches(
  { containers }: Pick<Rule, 'containers'>,
  { container }: Pick<Request, 'container'>,
  engine: EngineNaming,
): boolean {
  if (!containers) return true
  const any = (patterns: readonly string[] | undefined, value: string | undefined) =>
    patterns === undefined || (value !== undefined && anyGlobMatches(patterns, value))
  return (
    any(containers.names, container.name) &&
    any(containers.images, container.image) &&
    any(containers.projects, own(container.labels, 'com.docker.compose.project')) &&
    (containers.engines === undefined ||
      engineNames(engine, container).some((name) => any(containers.engines, name))) &&
    Object.entries(containers.labels ?? {}).every(([key, pattern]) => {
      const value = own(container.labels, key)
      return value !== undefined && globMatches(pattern, value)
    })
  )
}

/** A label called "constructor" is only there if it is. */
function own(labels: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined
}

function fromMatches({ from }: Rule, { origin }: Request): boolean {
  if (!from) return true
  const address = parseAddress(origin.remote.address)
  return address !== undefined && contains(from, address)
}
