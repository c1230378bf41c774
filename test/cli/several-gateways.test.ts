/** Commands that ask several gateways of one person, some of which hang or are of another version. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { printConnections } from '../../src/cli/connections.ts'
import { examinePort } from '../../src/cli/examine-port.ts'
import { kill } from '../../src/cli/kill.ts'
import { printSessions, reload } from '../../src/cli/sessions.ts'
import type { LoadedConfig } from '../../src/config/load.ts'
import type { Config } from '../../src/config/schema.ts'
import { allSessions } from '../../src/control/client.ts'
import { openControl } from '../../src/control/server.ts'

const ALICE = { identity: { name: 'alice', fingerprint: 'SHA256:x' }, remote: { address: '192.0.2.7', port: 1 } }
const WEB = { container: { id: 'a'.repeat(64), name: 'web' }, user: 'dev' }
const CONNECTION = {
  ...{ ...ALICE, connectionId: 'c0ffee01', login: 'dev', container: WEB.container, connectedAt: Date.now() },
  ...{ activeAt: 1, bytesIn: 0, bytesOut: 0, sessions: [], forwards: [], listeners: [] },
}
const SESSION = {
  ...{ ...ALICE, ...WEB, id: 'aa11', connectionId: 'c0ffee01', state: 'running', start: 'shell', tty: true },
  ...{ bytesIn: 0, bytesOut: 0, activeAt: 1, createdAt: 1 },
}
const STATUS = { pid: 42, startedAt: 1, endpoints: [{ address: '127.0.0.1', port: 2222 }], hostKeys: [] }

let home: string
let folder: string
let closes: (() => unknown)[]

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'hw-test-several-'))
  folder = join(home, 'hatchway')
  mkdirSync(folder, { mode: 0o700 })
  closes = []
  vi.stubEnv('XDG_RUNTIME_DIR', home)
  vi.stubEnv('HOME', home)
  vi.spyOn(process, 'getuid').mockReturnValue(1000)
})
afterEach(async () => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  for (const close of closes) await close()
  rmSync(home, { recursive: true })
})

async function listening(server: Server, name: string) {
  const path = join(folder, name)
  await new Promise<void>((resolve) => server.listen(path, resolve))
  closes.push(() => server.close())
  return path
}
/** Returns how to end it. */
async function silent(name: string) {
  const server = createServer(() => undefined)
  await listening(server, name)
  return () => server.close()
}
const saying = (name: string, answer: unknown) =>
  listening(
    createHttpServer((_request, response) => void response.end(JSON.stringify(answer))),
    name,
  )

async function healthy(name: string, sessions: readonly unknown[] = [SESSION]) {
  const control = await openControl(join(folder, name), {
    status: () => STATUS,
    sessions: () => sessions as never,
    connections: () => (sessions.length === 0 ? [] : [CONNECTION as never]),
    kill: (id) => id === SESSION.id,
    killConnection: (id) => id === CONNECTION.connectionId,
    reload: async () => ({ keys: 3, problems: [], restart: [], ended: 0 }),
    restart: async () => ({ open: 0 }),
    drain: async () => ({ open: 0 }),
    adminToken: () => undefined,
  })
  closes.push(() => control.close())
}

/** Those of a person who is not root: root's commands look where others' gateways of this machine may be. */
const OWN = {} as Config
const SHOWN = { json: false, all: false, commands: false }

test('of a gateway that hangs and one of another version it is said which; the others count', async () => {
  const said: string[] = []
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0)
  await healthy('42.sock')
  const endSilent = await silent('7.sock')
  await saying('8.sock', { error: 'no such call' })
  const lines: string[] = []
  const none = { ids: [], connections: [], identities: [], containers: [] }
  await kill(OWN, { ...none, containers: ['web'] }, (line) => lines.push(line))
  expect(lines).toEqual(['connection c0ffee01 is being ended\n'])
  const older = `gateway 8 (${folder}/8.sock) is of another version than this command: stop and start it`
  const hangs = `gateway 7 (${folder}/7.sock) does not answer within 5 s`
  expect(said.toSorted()).toEqual([`hatchway: ${hangs}\n`, `hatchway: ${older}\n`])

  // What was said once is not said again.
  endSilent()
  await kill(OWN, { ...none, ids: ['aa1'] }, (line) => lines.push(line))
  expect(lines.slice(1)).toEqual(['session aa11 is being ended\n'])
  expect(await printSessions(OWN, SHOWN)).toMatch(/^aa11 /m)
  expect(await printConnections(OWN, false)).toMatch(/^c0ffee01 +alice +dev +web /m)
  expect(said).toHaveLength(2)
  // That one has not read its files again: who revoked a key must know.
  lines.length = 0
  await expect(reload(OWN, (line) => lines.push(line))).rejects.toThrow(older)
  expect(lines).toEqual(['gateway 42 (127.0.0.1:2222): reloaded, 3 keys may log in\n'])
})

test('a gateway from before a field came is read', async () => {
  const { hostKeys: _keys, ...status } = STATUS
  const { activeAt: _active, ...session } = SESSION
  const path = await saying('9.sock', { ...status, sessions: [session] })
  expect(await allSessions(path, false)).toMatchObject([{ pid: 42, hostKeys: [], sessions: [{ id: 'aa11' }] }])
  expect(await printSessions({ controlSocket: path } as Config, SHOWN)).toMatch(/^aa11 /m)
})

test('one that cannot be asked fails, with its pid', async () => {
  const path = await saying('8.sock', {})
  await expect(allSessions(path, false)).rejects.toThrow(/^gateway 8 \(.*8\.sock\) is of another version/)
})

test('where there are none, who was asked is said', async () => {
  await healthy('42.sock', [])
  expect(await printSessions(OWN, SHOWN)).toBe('no sessions: gateway 42 (127.0.0.1:2222)\n')
  expect(await printConnections(OWN, false)).toBe('no connections: gateway 42 (127.0.0.1:2222)\n')
})

test("doctor does not call a port another program's, where it may be that of a gateway that hangs", async () => {
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  closes.push(() => taken.close())
  const address = taken.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  await silent('7.sock')
  const controlSocket = join(folder, '7.sock')
  const loaded = { config: { controlSocket, listen: [] }, where: () => undefined } as unknown as LoadedConfig
  expect(await examinePort({ host: '127.0.0.1', port: address.port }, loaded)).toMatchObject({
    state: 'warn',
    found: expect.stringMatching(/perhaps by a gateway of yours that does not answer: gateway 7 /),
  })
})
