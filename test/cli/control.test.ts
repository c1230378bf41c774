import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer, request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Traffic } from '../../src/bytes/traffic.ts'
import { allConnections, allSessions, drainGateways, killOne, reloadGateways } from '../../src/control/client.ts'
import { type Control, type ControlHandlers, openControl } from '../../src/control/server.ts'
import { ConnectionRegistry } from '../../src/session/connection-registry.ts'
import { SessionRegistry } from '../../src/session/registry.ts'
import { run } from '../support/run.ts'

let directory: string
let path: string
let registry: SessionRegistry
let connections: ConnectionRegistry
let open: Control[]

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hw-test-control-'))
  path = join(directory, 'c.sock')
  registry = new SessionRegistry()
  connections = new ConnectionRegistry(registry)
  open = []
})
afterEach(async () => {
  for (const control of open) await control.close()
  rmSync(directory, { recursive: true })
})

function handlers(): ControlHandlers {
  return {
    status: () => ({ pid: 42, startedAt: 1, hostKeys: [], endpoints: [{ address: '127.0.0.1', port: 2222 }] }),
    sessions: (options) => registry.list(options),
    connections: () => connections.list(),
    kill: (id) => registry.kill(id),
    killConnection: (id) => connections.kill(id),
    reload: async () => ({ keys: 3, problems: [], restart: [], ended: 0 }),
    restart: async () => ({ open: 0 }),
    drain: async () => ({ open: 0 }),
    adminToken: () => undefined,
  }
}

async function control(): Promise<Control> {
  const opened = await openControl(path, handlers())
  open.push(opened)
  return opened
}

function session() {
  return registry.open({
    connectionId: 'c1',
    identity: { name: 'alice', fingerprint: 'SHA256:x' },
    remote: { address: '::1', port: 1 },
    container: { id: 'a'.repeat(64), name: 'web' },
    user: 'dev',
    start: 'shell',
    tty: true,
  })
}

describe('the control socket', () => {
  it('is for its owner only', async () => {
    await control()
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it('lists live sessions, and those that ended when asked', async () => {
    await control()
    session().end({ signal: 'HUP', coreDumped: false })
    const live = session()
    expect((await allSessions(path, false))[0]?.sessions.map(({ id }) => id)).toEqual([live.id])
    expect((await allSessions(path, true))[0]?.sessions.map(({ state }) => state)).toEqual(['stopped', 'created'])
  })

  it('ends a session by its id, and knows when there is none', async () => {
    await control()
    const live = session()
    const reasons: string[] = []
    live.onKill((reason) => reasons.push(reason))
    expect(await killOne(path, 'sessions', live.id)).toBe(true)
    expect(reasons).toEqual(['ended by the administrator'])
    expect(await killOne(path, 'sessions', 'ffffffff')).toBe(false)
  })

  it('lists connections with what each is used for, and ends one by its id', async () => {
    await control()
    const ended: string[] = []
    const book = connections.open({
      ...{ id: 'c1', user: 'dev@web', remote: { address: '::1', port: 1 }, closed: new AbortController().signal },
      identity: { name: 'alice', fingerprint: 'SHA256:x' },
      disconnect: (message) => void ended.push(message),
      leaving: () => {},
    })
    const live = session()
    const forward = { container: { id: 'a'.repeat(64), name: 'web' }, user: 'dev' }
    book.opened({ kind: 'local', place: 'db:5432', ...forward }, new Traffic())
    book.listening({ kind: 'remote', place: 'localhost:8080', ...forward })
    const [gateway] = await allConnections(path)
    expect(gateway?.connections).toMatchObject([
      {
        ...{ connectionId: 'c1', login: 'dev@web', sessions: [{ id: live.id }] },
        ...{ forwards: [{ kind: 'local', place: 'db:5432', bytesIn: 0 }], listeners: [{ place: 'localhost:8080' }] },
      },
    ])
    live.onKill(() => live.end({ code: 255 }))
    expect(await killOne(path, 'connections', 'c1')).toBe(true)
    await expect.poll(() => ended).toHaveLength(1)
    expect(await killOne(path, 'connections', 'ffffffff')).toBe(false)
  })

  it('says that a gateway is of another version', async () => {
    const old = createHttpServer((_request, response) => void response.end('{"error":"no such call"}')).listen(path)
    await new Promise((resolve) => old.once('listening', resolve))
    await expect(allConnections(path)).rejects.toThrow('another version than this command')
    old.close()
  })

  it('has keys read anew', async () => {
    await control()
    expect(await reloadGateways(path, expect.unreachable)).toMatchObject([
      { keys: 3, problems: [], restart: [], ended: 0, pid: expect.any(Number) },
    ])
  })

  it('takes the place of a socket that a killed gateway left', async () => {
    const left = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
    await run(process.execPath, ['-e', left])
    expect(existsSync(path)).toBe(true)
    await control()
    expect(await allSessions(path, false)).toHaveLength(1)
  })

  it('does not take the place of a gateway that lives, nor of a file', async () => {
    await control()
    await expect(openControl(path, handlers())).rejects.toThrow('in use by another gateway')
    const file = join(directory, 'file')
    writeFileSync(file, 'precious')
    await expect(openControl(file, handlers())).rejects.toThrow('control socket')
    expect(statSync(file).size).toBe(8)
  })

  it('says that no gateway runs', async () => {
    await expect(allSessions(path, false)).rejects.toThrow(/^no gateway of yours is running/)
  })

  it('says that a gateway does not answer rather than wait for ever', async () => {
    const silent = createServer(() => undefined).listen(path)
    await new Promise((resolve) => silent.once('listening', resolve))
    await expect(allSessions(path, false)).rejects.toThrow(`the gateway behind ${path} does not answer`)
    silent.close()
  })

  it('asks a gateway that does not answer for nothing that it would do later', async () => {
    const asked: (string | undefined)[] = []
    const hangs = createHttpServer(({ url }) => void asked.push(url)).listen(path)
    await new Promise((resolve) => hangs.once('listening', resolve))
    await expect(drainGateways(path, expect.unreachable)).rejects.toThrow('does not answer within 5 s')
    expect(asked).toEqual(['/status'])
    hangs.closeAllConnections()
    hangs.close()
  })

  it('refuses a name too long for a socket', async () => {
    await expect(openControl(`/tmp/${'x'.repeat(120)}`, handlers())).rejects.toThrow('longer than')
  })

  it('answers what it does not know with 404 and goes on', async () => {
    await control()
    const ask = (method: string, call: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        const asked = request({ socketPath: path, method, path: call }, (response) => {
          response.resume()
          resolve(response.statusCode)
        })
        asked.on('error', reject).end()
      })
    const calls = [
      ['GET', '/nothing'],
      ['POST', '/kill'],
      ['POST', '/sessions/../kill'],
      ['GET', '/sessions/abc/kill'],
      ['GET', '//'],
    ]
    for (const [method = '', call = ''] of calls) expect(await ask(method, call), call).toBe(404)
    expect(await ask('GET', '/status')).toBe(200)
  })
})
