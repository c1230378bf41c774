/** `hatchway policy explain | check | schema`: applies the rules without a gateway. */
import type { Identity } from '../auth/identity.ts'
import { plural } from '../base/plural.ts'
import type { LoadedConfig } from '../config/load.ts'
import { type RecordTerms, strictest } from '../config/recording.ts'
import type { Config } from '../config/schema.ts'
import { Containers } from '../container/containers.ts'
import type { EnvInfo } from '../container/envinfo.ts'
import { parseRoute, type Route, type TemplateRoute } from '../container/route.ts'
import { templateRecord } from '../container/templates/record.ts'
import { planContainer, plannedContainer } from '../container/templates/template.ts'
import { CliFailure } from '../control/cli-failure.ts'
import { type Container, type ContainerSummary, type Engine, type EngineNaming, engineNames } from '../engine/engine.ts'
import { engineLimit } from '../engine/messages.ts'
import { openEngines } from '../engine/open.ts'
import { type BindSettings, boundAddress } from '../forward/bind.ts'
import { deadline } from '../lifetime/deadline.ts'
import { externalJsonSchemas } from '../policy/external-schema.ts'
import { advice } from '../policy/lint.ts'
import { words } from '../policy/messages.ts'
import { templateOwner } from '../policy/owner.ts'
import { compilePolicy } from '../policy/policy.ts'
import type { Action, Decision, Request } from '../policy/request.ts'
import { matrixTable, policyMatrix } from './policy-matrix.ts'
import { identityNamed, type WhoOptions } from './policy-who.ts'
import { terminalWidth } from './table.ts'

const ENGINE_MS = 20_000

export interface ExplainOptions extends WhoOptions {
  readonly from: string
  /** The time of the request. */
  readonly at?: string | undefined
  readonly json: boolean
}

export interface Explanation {
  readonly text: string
  readonly allowed: boolean
}

export async function explain(
  { config, where }: LoadedConfig,
  who: string,
  login: string,
  what: readonly string[],
  options: ExplainOptions,
): Promise<Explanation> {
  const now = timeOf(options.at)
  const route = parseRoute(login)
  const identity = await identityNamed(config, who, options)
  const asked =
    'template' in route
      ? await withEngine(config, async (engine) => askedOfTemplate(config, route, identity, what, engine))
      : await withEngine(config, (engine, signal) => askedOf(config, route, login, identity, what, engine, signal))
  const origin = { connectionId: '', login, remote: { address: options.from, port: 0 } }
  const { engine, ...about } = asked
  const request: Request = { identity, origin, ...about }
  const settings = {
    acceptEnv: config.environment.accept,
    engine,
    rules: config.rules,
    record: config.recording.record,
  }
  const steps: { by: string; why: string }[] = []
  const decide = compilePolicy({ ...settings, where: (index) => where(['rules', index]) })
  const decision = decide(request, now, (by, why) => steps.push({ by, why }))
  const { container, user, action } = about
  const record = decision.allowed && strictest([decision.record, templateRecord(config)(container)])
  const facts = {
    decision: record ? { ...decision, record } : decision,
    steps,
    ...(decision.allowed && isAskedBesides(config) && { note: 'authorization is asked, too' }),
    identity: { name: identity.name, groups: identity.groups, key: identity.fingerprint, source: identity.source },
    container: { name: container.name, image: container.image, engine: engineNames(engine, container).join(' at ') },
    ...(user && { user: { name: user.name, uid: user.uid } }),
    action: words(action),
    from: options.from,
    at: now.toISOString(),
  }
  return { allowed: decision.allowed, text: options.json ? `${JSON.stringify(facts, null, 2)}\n` : prose(facts) }
}

/** What somebody may do where: a row for each container, and for users inside who may do the same. */
export async function explainAll({ config }: LoadedConfig, who: string, options: ExplainOptions): Promise<Explanation> {
  const now = timeOf(options.at)
  const identity = await identityNamed(config, who, options)
  const rows = await withEngine(config, async (engine, signal) => {
    const containers = await engine.list(signal)
    return policyMatrix({ config, identity, containers, engine, from: options.from, now })
  })
  const allowed = rows.length > 0
  if (options.json) return { allowed, text: `${JSON.stringify(rows, null, 2)}\n` }
  const note = isAskedBesides(config) ? 'authorization is asked, too\n' : ''
  const { command } = identity.restrictions
  const forced = command === undefined ? '' : 'the key has a forced command, which runs in place of every other\n'
  const head = `${whoText({ ...identity, key: identity.fingerprint })}\nfrom ${options.from} at ${now.toISOString()}\n${note}${forced}\n`
  return { allowed, text: `${head}${allowed ? matrixTable(rows, terminalWidth()) : 'nothing, nowhere\n'}` }
}

interface Asked {
  readonly container: Container | ContainerSummary
  readonly user?: EnvInfo
  readonly action: Action
  readonly engine: EngineNaming
}

async function askedOf(
  config: Config,
  route: Route,
  login: string,
  { name }: Identity,
  what: readonly string[],
  engine: Engine,
  signal: AbortSignal,
): Promise<Asked> {
  if (!('container' in route)) throw new CliFailure(`"${login}" names no container`, 2)
  const action = parseAction(what, config.gatewayPorts)
  const containers = new Containers(engine, config.aliases)
  const container = await containers.resolve(route.container, async () => true, signal)
  const user = await containers.envInfo(container, route.user, name, signal)
  return { container, user, action, engine }
}

/** Of a template there is no container yet: the policy is asked about the one that would be made. */
function askedOfTemplate(
  { templates = {} }: Config,
  route: TemplateRoute,
  identity: Identity,
  [kind = 'create']: readonly string[],
  engine: EngineNaming,
): Asked {
  if (kind !== 'create') throw new CliFailure(`there is no container yet: of a template only create can be asked`, 2)
  const { name: template, kind: keeping } = route.template
  const container = plannedContainer(planContainer(templates, route, templateOwner(identity), {}))
  return { container, action: { kind, template, personal: keeping === 'personal' }, engine }
}

async function withEngine<T>(config: Config, work: (engine: Engine, signal: AbortSignal) => Promise<T>): Promise<T> {
  const signal = deadline(engineLimit('asking for a container', ENGINE_MS))
  const engine = await openEngines(config, signal)
  try {
    return await work(engine, signal)
  } finally {
    await engine.close()
  }
}

function timeOf(at: string | undefined): Date {
  const time = at === undefined ? new Date() : new Date(at)
  if (Number.isNaN(time.getTime())) throw new CliFailure(`"${at}" is no time such as 2027-01-12T12:00:00Z`, 2)
  return time
}

function isAskedBesides({ authorization }: Config): boolean {
  return (authorization.webhook ?? authorization.command) !== undefined
}

function whoText({
  name,
  groups,
  key,
  source,
}: Pick<Identity, 'name' | 'groups' | 'source'> & { key: string }): string {
  const shown = key === '' ? 'no key of that name was found' : `key ${key} (${source})`
  return `${name}, ${groups.length > 0 ? `groups ${groups.join(', ')}` : 'no groups'}, ${shown}`
}

function prose(facts: {
  readonly decision: Decision
  readonly steps: readonly { readonly by: string; readonly why: string }[]
  readonly note?: string
  readonly identity: Pick<Identity, 'name' | 'groups' | 'source'> & { readonly key: string }
  readonly container: Pick<Container, 'name' | 'image'> & { readonly engine: string }
  readonly user?: Pick<EnvInfo, 'name' | 'uid'>
  readonly action: string
  readonly from: string
  readonly at: string
}): string {
  const { decision, steps, identity, container, user } = facts
  const verdict = decision.allowed ? `allowed${decision.readOnly ? ', to read only' : ''}` : 'refused'
  const width = Math.max(...steps.map(({ by }) => by.length), decision.by.length)
  return [
    `${verdict} by ${decision.by}${decision.allowed ? '' : `: ${decision.reason}`}`,
    ...(facts.note === undefined ? [] : [facts.note]),
    '',
    `who     ${whoText(identity)}`,
    `where   ${container.name}, image ${container.image}, engine ${container.engine}`,
    ...(user ? [`as      ${user.name} (uid ${user.uid})`] : []),
    `what    ${facts.action}`,
    `from    ${facts.from} at ${facts.at}`,
    ...(decision.allowed && decision.record ? [`record  ${recordText(decision.record)}`] : []),
    '',
    ...steps.map(({ by, why }) => `${by.padEnd(width)}  ${why}`),
    `${decision.by.padEnd(width)}  decides: ${verdict}`,
    '',
  ].join('\n')
}

function recordText({ mode, of, notice }: RecordTerms): string {
  return `${mode}: ${of.join(', ')}${notice ? '; the user is told' : ''}`
}

const ACTIONS =
  'create (of +TEMPLATE), enter, start, debug, shell, exec COMMAND, sftp, pty, env NAME, agent, x11, forward-local HOST:PORT, forward-remote HOST:PORT, forward-socket PATH'

function parseAction([kind = 'enter', ...rest]: readonly string[], ports: BindSettings['gatewayPorts']): Action {
  const text = rest.join(' ')
  switch (kind) {
    case 'enter':
    case 'start':
    case 'debug':
    case 'shell':
    case 'sftp':
    case 'pty':
    case 'agent':
    case 'x11':
      return { kind }
    case 'create':
      throw new CliFailure('create is asked of a template: hatchway policy explain WHO +TEMPLATE', 2)
    case 'exec':
      return { kind, command: Buffer.from(text) }
    case 'env':
      if (text !== '') return { kind, name: text }
      break
    case 'forward-socket':
      if (text !== '') return { kind, path: text, direction: 'local' }
      break
    case 'forward-local':
    case 'forward-remote': {
      const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text)
      if (!match) break
      const [host, port] = [match[1] ?? match[2] ?? '', Number(match[3])]
      return kind === 'forward-local' ? { kind, host, port } : { kind, host, port, bound: boundAddress(host, ports) }
    }
  }
  throw new CliFailure(`"${[kind, text].join(' ').trim()}" is none of ${ACTIONS}`, 2)
}

/** Loading has thrown already if anything is wrong. */
export function policyCheck(loaded: LoadedConfig): string {
  const { config, file, warnings } = loaded
  const said = [...warnings, ...policyWarnings(loaded)]
  const count = config.rules === undefined ? 'no rules' : plural(config.rules.length, 'rule')
  return `${[...said.map((warning) => `warning: ${warning}`), `${file ?? 'no file: the defaults'}: good, ${count}`].join('\n')}\n`
}

/** What of the rules may not be meant, with file and line. */
export function policyWarnings({ config, file, where }: LoadedConfig): string[] {
  return advice(config).map(({ rule, text }) => {
    const place = rule === undefined ? file : (where(['rules', rule]) ?? file)
    return `${place === undefined ? '' : `${place}: `}${rule === undefined ? '' : `rules.${rule}: `}${text}`
  })
}

export function policySchema(): string {
  return `${JSON.stringify(externalJsonSchemas(), null, 2)}\n`
}
