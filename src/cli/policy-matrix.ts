/** `hatchway policy explain WHO`: what somebody may do in which container, as whom. Pure: no passwd is read. */
import type { Identity } from '../auth/identity.ts'
import type { Rule } from '../config/rules.ts'
import type { Config } from '../config/schema.ts'
import { planContainer, plannedContainer } from '../container/templates/template.ts'
import type { ContainerSummary, EngineNaming } from '../engine/engine.ts'
import { fullName } from '../engine/ref.ts'
import { templateOwner } from '../policy/owner.ts'
import { compilePolicy } from '../policy/policy.ts'
import type { Action, Decision, Request } from '../policy/request.ts'
import type { InsideUser } from '../policy/users.ts'
import { type Column, tableInBlocks } from './table.ts'

/** `some`: some commands, ports or paths; `read`: sftp that only reads. */
export type Cell = 'yes' | 'some' | 'read' | '-'

export interface MatrixRow {
  /** A container's name, or "+NAME" for one that is made from a template. */
  readonly container: string
  /** Users inside for whom it is the same; `*` is every user that no rule names. */
  readonly users: readonly string[]
  readonly may: Readonly<Record<string, Cell>>
}

export interface MatrixQuestion {
  readonly config: Pick<Config, 'rules' | 'templates' | 'environment'>
  readonly identity: Identity
  readonly containers: readonly ContainerSummary[]
  readonly engine: EngineNaming
  readonly from: string
  readonly now: Date
}

/** One that no list has, so that only a rule without a list allows it. */
const ANY_PORT = { host: 'any.invalid', port: 65_000 }
const ACTIONS_SHOWN: readonly (readonly [string, Action])[] = [
  ['shell', { kind: 'shell' }],
  ['exec', { kind: 'exec', command: Buffer.from('any-program-of-that-name-at-all') }],
  ['sftp', { kind: 'sftp' }],
  ['-L', { kind: 'forward-local', ...ANY_PORT }],
  ['-R', { kind: 'forward-remote', ...ANY_PORT }],
  ['socket', { kind: 'forward-socket', path: '/any/path/at/all', direction: 'local' }],
  ['agent', { kind: 'agent' }],
  ['x11', { kind: 'x11' }],
  ['start', { kind: 'start' }],
]
const ANYBODY = '*'

export function policyMatrix(question: MatrixQuestion): MatrixRow[] {
  const { config, identity, engine } = question
  const settings = { acceptEnv: config.environment.accept, engine }
  const exact = compilePolicy({ ...settings, rules: config.rules })
  const generous = compilePolicy({ ...settings, rules: config.rules?.map(withoutLists) })
  const origin = { connectionId: '', login: '', remote: { address: question.from, port: 0 } }
  const open = { ...identity, restrictions: withoutPortLists(identity.restrictions) }
  const ask = (request: Omit<Request, 'identity' | 'origin'>, policy = exact, who = identity): Decision =>
    policy({ ...request, identity: who, origin }, question.now)

  function cell(request: Omit<Request, 'identity' | 'origin'>): Cell {
    const decision = ask(request)
    if (decision.allowed) return decision.readOnly ? 'read' : 'yes'
    // A key that lists ports permits no sockets at all.
    const who = request.action.kind === 'forward-socket' ? identity : open
    return ask(request, generous, who).allowed ? 'some' : '-'
  }

  function rowsOf(name: string, container: ContainerSummary, users: readonly InsideUser[]): MatrixRow[] {
    const rows = new Map<string, { users: string[]; may: Record<string, Cell> }>()
    for (const user of users) {
      const may = Object.fromEntries(ACTIONS_SHOWN.map(([head, action]) => [head, cell({ container, user, action })]))
      const key = JSON.stringify(may)
      const same = rows.get(key)
      if (same) same.users.push(user.name)
      else if (Object.values(may).some((one) => one !== '-')) rows.set(key, { users: [user.name], may })
    }
    return [...rows.values()].map((row) => ({ container: name, ...row }))
  }

  const users = usersOf(config.rules)
  const there = question.containers.flatMap((container) => rowsOf(fullName(container), container, users))
  const made = Object.entries(config.templates ?? {}).flatMap(([template, { user }]) => {
    const route = { template: { name: template, kind: 'fresh' } } as const
    const container = plannedContainer(planContainer(config.templates ?? {}, route, templateOwner(identity), {}))
    if (!ask({ container, action: { kind: 'create', template, personal: false } }).allowed) return []
    return rowsOf(`+${template}`, container, user === undefined ? users : [insideUser(user)])
  })
  return [...there.sort((a, b) => (a.container < b.container ? -1 : a.container > b.container ? 1 : 0)), ...made]
}

/** With every action, however narrow the terminal is: who does not see a column takes it for one that there is not. */
export function matrixTable(rows: readonly MatrixRow[], width: number | undefined): string {
  const where: Column<MatrixRow>[] = [
    { head: 'CONTAINER', cell: ({ container }) => container, keep: true },
    { head: 'AS', cell: ({ users }) => users.join(', '), least: 6 },
  ]
  const may = ACTIONS_SHOWN.map(([head]) => ({
    head: head.toUpperCase(),
    cell: ({ may }: MatrixRow) => may[head] ?? '-',
  }))
  return tableInBlocks(where, may, rows, width)
}

/** Root, whom a rule names, and one whom none does. */
function usersOf(rules: readonly Rule[] | undefined): InsideUser[] {
  const named = (rules ?? []).flatMap(({ users = [] }) => users).filter((user) => !/[*?]/.test(user) && user !== '0')
  return [...new Set(['root', ...named, ANYBODY])].map(insideUser)
}

function insideUser(name: string): InsideUser {
  const uid = name === 'root' ? 0 : /^\d+$/.test(name) ? Number(name) : Number.NaN
  return { name, uid, gid: uid, known: true }
}

/** A rule that allows some commands or ports allows all of them, one that denies some denies none. */
function withoutLists(rule: Rule): Rule {
  if (!rule.actions) return rule
  const given = rule.effect === 'allow'
  const all = Object.entries(rule.actions).map(([key, value]) => [key, Array.isArray(value) ? given : value])
  return { ...rule, actions: Object.fromEntries(all) }
}

function withoutPortLists({ permitOpen: _open, permitListen: _listen, ...rest }: Identity['restrictions']) {
  return rest
}
