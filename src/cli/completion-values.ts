/** What may stand for an argument or option: containers, sessions, people. Nothing is said where it cannot be known soon. */
import { levels } from 'pino'
import { printable } from '../base/printable.ts'
import type { Config } from '../config/schema.ts'
import { allConnections, allSessions } from '../control/client.ts'
import type { ConnectionRow } from '../control/protocol.ts'
import { openEngines } from '../engine/open.ts'
import { deadline } from '../lifetime/deadline.ts'
import { configFrom } from './flags.ts'

/** Who presses a key waits no longer. */
const ENGINE_MS = 2_000

export interface Suggestion {
  readonly value: string
  readonly description?: string
}

export type CompletionSource =
  | 'containers'
  | 'logins'
  | 'sessions'
  | 'connections'
  | 'connected-people'
  | 'connected-containers'
  | 'people'
  | 'groups'
  | 'actions'
  | 'engines'
  | 'guests'
  | 'levels'
  | 'outcomes'

const ACTIONS =
  'create enter start shell exec sftp pty env agent x11 forward-local forward-remote forward-socket'.split(' ')

export async function valuesOf(source: CompletionSource, words: readonly string[]): Promise<readonly Suggestion[]> {
  try {
    return await values(source, words)
  } catch {
    return []
  }
}

async function values(source: CompletionSource, words: readonly string[]): Promise<readonly Suggestion[]> {
  switch (source) {
    case 'engines':
      return plain(['auto', 'docker', 'cli', 'containerd'])
    case 'guests':
      return plain(['auto', 'off', 'require'])
    case 'levels':
      return plain([...Object.keys(levels.values), 'silent'])
    case 'outcomes':
      return plain(['ok', 'refused', 'failed'])
    case 'actions':
      return plain(ACTIONS)
    case 'containers':
      return containers(configOf(words))
    case 'logins': {
      const config = configOf(words)
      const user = /^.*@/.exec(words.at(-1) ?? '')?.[0] ?? ''
      const made = Object.keys(config.templates ?? {}).map((name) => ({ value: `+${name}`, description: 'template' }))
      const all = [...(await containers(config).catch(() => [])), ...made]
      return all.map(({ value, ...rest }) => ({ value: `${user}${value}`, ...rest }))
    }
    case 'sessions': {
      const gateways = await allSessions(configOf(words).controlSocket, false, () => {})
      return gateways.flatMap(({ sessions }) =>
        sessions.map(({ id, identity, user, container }) => {
          // The user's name is the container's passwd's, and goes to a terminal.
          return { value: id, description: printable(`${identity.name}: ${user}@${container.name}`) }
        }),
      )
    }
    case 'connections':
      return (await live(words)).map(({ connectionId, identity, login, container }) => {
        const where = container === undefined ? login : `${login} in ${container.name}`
        return { value: connectionId, description: printable(`${identity.name}: ${where}`) }
      })
    case 'connected-people':
      return plain((await live(words)).map(({ identity }) => identity.name))
    case 'connected-containers':
      return plain(
        (await live(words)).flatMap(({ container, sessions, forwards, listeners }) => [
          ...(container ? [container.name] : []),
          ...[...sessions, ...forwards, ...listeners].map((each) => each.container.name),
        ]),
      )
    case 'people':
      return people(configOf(words))
    case 'groups':
      return plain(Object.values(configOf(words).users).flatMap(({ groups }) => groups))
  }
}

async function live(words: readonly string[]): Promise<readonly ConnectionRow[]> {
  const gateways = await allConnections(configOf(words).controlSocket, () => {})
  return gateways.flatMap(({ connections }) => connections)
}

/** The configuration that the command would have. */
function configOf(words: readonly string[]): Config {
  const after = (flag: string) => {
    const at = words.indexOf(flag)
    return at < 0
      ? {}
      : { [flag.slice(2).replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())]: words[at + 1] }
  }
  return configFrom({ ...after('--config'), ...after('--engine'), ...after('--control-socket') }).config
}

async function containers(config: Config): Promise<Suggestion[]> {
  const signal = deadline(ENGINE_MS)
  const engine = await openEngines(config, signal)
  try {
    return (await engine.list(signal)).map(({ name, status, state }) => ({
      value: name,
      description: printable(status || state),
    }))
  } finally {
    await engine.close()
  }
}

/** Configured users, and whom the rules name. */
function people({ users, rules = [] }: Config): Suggestion[] {
  const named = rules.flatMap(({ who }) => who?.identities ?? []).filter((name) => !/[*?]/.test(name))
  return plain([...Object.keys(users), ...named])
}

function plain(all: readonly string[]): Suggestion[] {
  return [...new Set(all)].map((value) => ({ value }))
}
