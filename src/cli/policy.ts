/** `hatchway policy explain | check | schema`: applies the rules without a gateway. */
import type { Identity } from '../auth/identity.ts'
import { plural } from '../base/plural.ts'
import type { LoadedConfig } from '../config/load.ts'
import { Containers } from '../container/containers.ts'
import type { EnvInfo } from '../container/envinfo.ts'
import { parseRoute } from '../container/route.ts'
import { CliFailure } from '../control/cli-failure.ts'
import { openEngine } from '../engine/choose.ts'
import type { Container } from '../engine/engine.ts'
import { engineLimit } from '../engine/messages.ts'
import { type BindSettings, boundAddress } from '../forward/bind.ts'
import { deadline } from '../lifetime/deadline.ts'
import { externalJsonSchemas } from '../policy/external-schema.ts'
import { advice } from '../policy/lint.ts'
import { words } from '../policy/messages.ts'
import { compilePolicy } from '../policy/policy.ts'
import type { Action, Decision, Request } from '../policy/request.ts'
import { identityNamed, type WhoOptions } from './policy-who.ts'

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
  const action = parseAction(what, config.gatewayPorts)
  const now = options.at === undefined ? new Date() : new Date(options.at)
  if (Number.isNaN(now.getTime())) throw new CliFailure(`"${options.at}" is no time such as 2027-01-12T12:00:00Z`, 2)
  const route = parseRoute(login)
  if (!('container' in route)) throw new CliFailure(`"${login}" names no container`, 2)
  const identity = await identityNamed(config, who, options)
  const signal = deadline(engineLimit('asking for a container', ENGINE_MS))
  const engine = await openEngine(config.engine, signal)
  try {
    const containers = new Containers(engine, config.aliases)
    const container = await containers.resolve(route.container, async () => true, signal)
    const user = await containers.envInfo(container, route.user, identity.name, signal)
    const origin = { connectionId: '', login, remote: { address: options.from, port: 0 } }
    const request: Request = { identity, origin, container, user, action }
    const settings = { acceptEnv: config.environment.accept, engine: engine.endpoint, rules: config.rules }
    const steps: { by: string; why: string }[] = []
    const decide = compilePolicy({ ...settings, where: (index) => where(['rules', index]) })
    const decision = decide(request, now, (by, why) => steps.push({ by, why }))
    const asked = decision.allowed && (config.authorization.webhook ?? config.authorization.command) !== undefined
    const facts = {
      decision,
      steps,
      ...(asked && { note: 'authorization is asked, too' }),
      identity: { name: identity.name, groups: identity.groups, key: identity.fingerprint, source: identity.source },
      container: { name: container.name, image: container.image, engine: engine.endpoint },
      user: { name: user.name, uid: user.uid },
      action: words(action),
      from: options.from,
      at: now.toISOString(),
    }
    return { allowed: decision.allowed, text: options.json ? `${JSON.stringify(facts, null, 2)}\n` : prose(facts) }
  } finally {
    await engine.close()
  }
}

function prose(facts: {
  readonly decision: Decision
  readonly steps: readonly { readonly by: string; readonly why: string }[]
  readonly note?: string
  readonly identity: Pick<Identity, 'name' | 'groups' | 'source'> & { readonly key: string }
  readonly container: Pick<Container, 'name' | 'image'> & { readonly engine: string }
  readonly user: Pick<EnvInfo, 'name' | 'uid'>
  readonly action: string
  readonly from: string
  readonly at: string
}): string {
  const { decision, steps, identity, container, user } = facts
  const verdict = decision.allowed ? `allowed${decision.readOnly ? ', to read only' : ''}` : 'refused'
  const width = Math.max(...steps.map(({ by }) => by.length), decision.by.length)
  const key = identity.key === '' ? 'no key of that name was found' : `key ${identity.key} (${identity.source})`
  return [
    `${verdict} by ${decision.by}${decision.allowed ? '' : `: ${decision.reason}`}`,
    ...(facts.note === undefined ? [] : [facts.note]),
    '',
    `who     ${identity.name}, ${identity.groups.length > 0 ? `groups ${identity.groups.join(', ')}` : 'no groups'}, ${key}`,
    `where   ${container.name}, image ${container.image}, engine ${container.engine}`,
    `as      ${user.name} (uid ${user.uid})`,
    `what    ${facts.action}`,
    `from    ${facts.from} at ${facts.at}`,
    '',
    ...steps.map(({ by, why }) => `${by.padEnd(width)}  ${why}`),
    `${decision.by.padEnd(width)}  decides: ${verdict}`,
    '',
  ].join('\n')
}

const ACTIONS =
  'enter, start, shell, exec COMMAND, sftp, pty, env NAME, agent, x11, forward-local HOST:PORT, forward-remote HOST:PORT, forward-socket PATH'

function parseAction([kind = 'enter', ...rest]: readonly string[], ports: BindSettings['gatewayPorts']): Action {
  const text = rest.join(' ')
  switch (kind) {
    case 'enter':
    case 'start':
    case 'shell':
    case 'sftp':
    case 'pty':
    case 'agent':
    case 'x11':
      return { kind }
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
  const count = config.rules === undefined ? 'no rules' : plural(config.rules.length, 'rule')
  return `${[...warnings, ...policyWarnings(loaded), `${file ?? 'no file: the defaults'}: good, ${count}`].join('\n')}\n`
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
