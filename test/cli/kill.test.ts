/** `hatchway kill` against the control socket, with ids that are not random. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { kill } from '../../src/cli/kill.ts'
import type { Config } from '../../src/config/schema.ts'
import { type Control, openControl } from '../../src/control/server.ts'
import type { ConnectionSnapshot } from '../../src/session/connection-registry.ts'
import type { SessionSnapshot } from '../../src/session/registry.ts'

const identity = (name: string) => ({ name, fingerprint: 'SHA256:x' })
const inside = (name: string) => ({ container: { id: `${name}0`.padEnd(64, 'f'), name }, user: 'dev' })
const common = { remote: { address: '192.0.2.7', port: 1 }, activeAt: 1, bytesIn: 0, bytesOut: 0 }

function session(id: string, connectionId: string, container = 'web'): SessionSnapshot {
  const where = { ...common, ...inside(container), identity: identity('alice') }
  return { id, connectionId, ...where, state: 'running', start: 'shell', tty: true, createdAt: 1 }
}

function connection(connectionId: string, name: string, more: Partial<ConnectionSnapshot> = {}): ConnectionSnapshot {
  const login = { connectionId, identity: identity(name), login: 'dev@alias', connectedAt: 1 }
  return { ...common, ...login, sessions: [], forwards: [], listeners: [], ...more }
}

let directory: string
let control: Control
let config: Config
let killed: string[]
const sessions = [session('aa11', 'c0ffee01'), session('aa22', 'c0ffee02', 'db'), session('bb', 'c0ffee02', 'db')]
const connections = [
  connection('c0ffee01', 'alice', { sessions: sessions.slice(0, 1) }),
  connection('c0ffee02', 'alice', { sessions: sessions.slice(1) }),
  connection('f00d', 'zed', { login: 'dev', container: { id: 'abcd'.repeat(16), name: 'quiet' } }),
  connection('beef', 'eve', { login: 'root@idle' }),
  connection('dead', 'bob', {
    login: 'other',
    forwards: [{ kind: 'local', place: 'db:5432', ...inside('web'), openedAt: 1, bytesIn: 0, bytesOut: 0 }],
  }),
]

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'hw-test-kill-'))
  config = { controlSocket: join(directory, 'c.sock') } as Config
  killed = []
  const one = (live: readonly string[]) => (id: string) => {
    killed.push(id)
    return live.includes(id)
  }
  control = await openControl(config.controlSocket, {
    status: () => ({ pid: 42, startedAt: 1, endpoints: [], hostKeys: [] }),
    sessions: () => sessions,
    connections: () => connections,
    kill: one(['aa11', 'bb']),
    killConnection: one(connections.map(({ connectionId }) => connectionId)),
    reload: () => Promise.reject(new Error('not in these tests')),
    restart: () => Promise.reject(new Error('not in these tests')),
    drain: () => Promise.reject(new Error('not in these tests')),
    adminToken: () => undefined,
  })
})
afterEach(async () => {
  await control.close()
  rmSync(directory, { recursive: true })
})

const NONE = { ids: [], connections: [], identities: [], containers: [] }

async function run(options: Partial<typeof NONE | Record<keyof typeof NONE, string[]>>) {
  const said: string[] = []
  const error = await kill(config, { ...NONE, ...options }, (line) => said.push(line)).then(
    () => undefined,
    (failure: Error) => failure.message,
  )
  return { said, error, killed: killed.splice(0) }
}

test('several ids, and beginnings of ids that mean one session', async () => {
  expect(await run({ ids: ['aa1', 'bb'] })).toEqual({
    said: ['session aa11 is being ended\n', 'session bb is being ended\n'],
    error: undefined,
    killed: ['aa11', 'bb'],
  })
})

test('what is not there, or could mean several, is said, and the others are ended all the same', async () => {
  const { error, killed } = await run({ ids: ['aa', 'ff', 'bb'] })
  expect(killed).toEqual(['bb'])
  expect(error).toBe('several sessions begin with aa: aa11, aa22; no live session ff: `hatchway sessions` shows them')
  // It ended between the question and the kill.
  expect((await run({ ids: ['aa22'] })).error).toBe('session aa22 has ended already')
})

test.each([
  [{ connections: ['de'] }, ['dead']],
  [{ identities: ['alice'] }, ['c0ffee01', 'c0ffee02']],
  [{ containers: ['web'] }, ['c0ffee01', 'dead']],
  [{ containers: ['idle'] }, ['beef']],
  [{ containers: ['db0ff'] }, ['c0ffee02']],
  // It came by config-ssh or a jump: its login is only the user inside.
  [{ containers: ['quiet'] }, ['f00d']],
  [{ containers: ['abcda'] }, ['f00d']],
  [{ identities: ['alice'], containers: ['web'] }, ['c0ffee01', 'c0ffee02', 'dead']],
])('%j ends whole connections, each once', async (options, expected) => {
  expect(await run(options)).toMatchObject({ killed: expected, error: undefined })
})

test('nobody and nothing named is a sentence', async () => {
  // The value of a variable that is not set: the beginning of every id.
  expect(await run({ connections: [''] })).toMatchObject({ killed: [], error: expect.stringContaining('no live') })
  expect(await run({})).toMatchObject({ killed: [], error: expect.stringContaining('whom?') })
  expect((await run({ identities: ['zoe'] })).error).toBe('no connection of zoe: `hatchway connections` shows them')
  expect((await run({ containers: ['x'] })).error).toContain('no connection into x')
})
