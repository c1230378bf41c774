/** What a source is refused for, with real clients: 127.0.0.x are several. The sums themselves: penalties.test.ts. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { parseBlock } from '../../src/net/address.ts'
import type { SshLimits } from '../../src/ssh/limits.ts'
import type { PenaltySettings } from '../../src/ssh/penalties.ts'
import { createApproach } from '../../src/ssh/preamble/preamble.ts'
import { connectPeer, Message, packet } from './peer.ts'
import { LIMITS, program, run, ssh, startServer, type TestServer, type TestServerOptions } from './support.ts'

let server: TestServer
const sockets: Socket[] = []

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await server?.close()
})

const blocks = (...texts: string[]) => texts.flatMap((text) => parseBlock(text) ?? [])

async function start(
  penalties: Partial<PenaltySettings>,
  limits: Partial<SshLimits> = {},
  options: TestServerOptions = {},
): Promise<void> {
  server = await startServer({
    session: program(async () => ({ code: 0 })),
    limits: { perSourcePenalties: { ...LIMITS.perSourcePenalties, enabled: true, ...penalties }, ...limits },
    ...options,
  })
}

function dial(from: string): Socket {
  const socket = connect({ port: server.port, host: '127.0.0.1', localAddress: from })
  socket.on('error', () => {})
  sockets.push(socket)
  return socket
}

/** The first line the server says. */
async function greeting(from: string): Promise<string> {
  const socket = dial(from)
  const [text] = await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => [''])])
  socket.destroy()
  return String(text).split('\r\n')[0] ?? ''
}

const from = (address: string, ...more: string[]) => ({ first: ['-b', address, ...more] })
const wrongKey = () => ['-o', 'IdentityFile=none', '-i', server.folder.key(`wrong${Math.random()}`)]
const given = () => server.events.filter((event) => event.type === 'penalty')

/** A login with a key that nobody let in. */
async function failLogin(address: string): Promise<void> {
  const { code } = await run('ssh', [
    ...['-F', '/dev/null', '-b', address, '-p', String(server.port), ...wrongKey(), '-o', 'BatchMode=yes'],
    ...['-o', 'IdentitiesOnly=yes', '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null'],
    ...['x@127.0.0.1', 'true'],
  ])
  expect(code).toBe(255)
}

test('failed logins add up; then ssh -v shows why it is refused, and other sources come in', async () => {
  const { penalties } = LIMITS.perSourcePenalties
  await start({ min: 90_000, penalties: { ...penalties, authfail: 60_000 } })
  await failLogin('127.0.0.5')
  expect((await ssh(server, ['true'], from('127.0.0.5'))).code).toBe(0)
  await failLogin('127.0.0.5')
  await expect
    .poll(given)
    .toEqual([
      expect.objectContaining({ source: '127.0.0.5/32', misdeed: 'authfail', milliseconds: 60_000, active: false }),
      expect.objectContaining({ source: '127.0.0.5/32', misdeed: 'authfail', active: true }),
    ])
  const refused = await ssh(server, ['true'], from('127.0.0.5', '-o', 'LogLevel=DEBUG1'))
  expect(refused.code).toBe(255)
  expect(refused.stderr.toString()).toContain('Not allowed at this time')
  expect((await ssh(server, ['true'], from('127.0.0.6'))).code).toBe(0)
  expect(server.events).toContainEqual(
    expect.objectContaining({ type: 'drop', reason: 'penalty', detail: 'penalty: authfail' }),
  )
})

test('a login, however many keys were tried before it, is no misdeed', async () => {
  await start({ min: 0 })
  const { code } = await ssh(server, ['true'], { first: ['-b', '127.0.0.5', '-i', server.folder.key('other')] })
  expect(code).toBe(0)
  expect(given()).toEqual([])
})

test('who is known, and refused for the container asked for, may come again; guessing a password after that is counted', async () => {
  const authenticator = {
    methods: () => [['publickey'], ['password']],
    password: async (password: Buffer) => (password.equals(Buffer.from('right')) ? 'x' : undefined),
    admit: async () => ({ refusal: 'hatchway: no container "web"' }),
  }
  await start({ min: 0 }, {}, { authenticator })
  const refused = await ssh(server, ['true'], from('127.0.0.5', '-o', 'LogLevel=INFO'))
  expect([refused.code, refused.stderr.toString()]).toEqual([255, expect.stringContaining('no container "web"')])
  const peer = await connectPeer(server, { authenticate: false, hide: [Message.USERAUTH_FAILURE] })
  for (const password of ['right', 'wrong']) {
    peer.send(packet(Message.USERAUTH_REQUEST, 'x', 'ssh-connection', 'password', false, password))
    await peer.next(Message.USERAUTH_FAILURE)
  }
  peer.close()
  await expect.poll(given).toEqual([expect.objectContaining({ source: '127.0.0.1/32', misdeed: 'authfail' })])
})

test('asking whether a key would do, and leaving, is a failed login as with sshd', async () => {
  await start({ min: 0 })
  const peer = await connectPeer(server, { authenticate: false })
  const blob = Buffer.alloc(51)
  peer.send(packet(Message.USERAUTH_REQUEST, 'x', 'ssh-connection', 'publickey', false, 'ssh-ed25519', blob))
  await peer.next(Message.USERAUTH_FAILURE)
  peer.close()
  await expect.poll(given).toEqual([expect.objectContaining({ misdeed: 'authfail' })])
})

// As the gateway is put together: with what may come before SSH.
describe.each([
  ['alone', {}],
  ['behind its approach', { approach: createApproach({ proxies: () => [] }) }],
])('the server %s', (_, options) => {
  test('ssh-keyscan is a connection without authentication, as with sshd', async () => {
    await start({ min: 0 }, {}, options)
    const { stdout } = await run('ssh-keyscan', ['-t', 'ed25519', '-p', String(server.port), '127.0.0.1'])
    expect(stdout.toString()).toContain('ssh-ed25519')
    await expect.poll(given).toEqual([expect.objectContaining({ misdeed: 'noauth', milliseconds: 1000 })])
  })

  test('a port that is opened and closed, or spoken to in another language, is the same', async () => {
    await start({}, {}, options)
    dial('127.0.0.5').end()
    dial('127.0.0.5').end('hello\r\n')
    await expect.poll(() => given().length).toBe(2)
    expect(given()[1]).toMatchObject({ source: '127.0.0.5/32', misdeed: 'noauth', milliseconds: expect.any(Number) })
  })

  test('who does not log in within LoginGraceTime, at whatever step, pays for it', async () => {
    await start({}, { loginGraceTime: 1000 }, options)
    const silent = dial('127.0.0.5')
    const halfway = dial('127.0.0.6')
    halfway.write('SSH-2.0-slow\r\n')
    const asking = dial('127.0.0.7')
    asking.write('CONN')
    await Promise.all([silent, halfway, asking].map((socket) => once(socket.resume(), 'close')))
    await expect
      .poll(() =>
        given()
          .map((event) => 'misdeed' in event && `${event.source} ${event.misdeed}`)
          .sort(),
      )
      .toEqual(['127.0.0.5/32 grace-exceeded', '127.0.0.6/32 grace-exceeded', '127.0.0.7/32 grace-exceeded'])
  })
})

test('a client that makes code of ours throw pays for a crash; a service that fails us is nobody’s misdeed', async () => {
  let error: Error = new TypeError('undefined is not a function')
  await start({}, {}, { publicKey: () => Promise.reject(error) })
  await failLogin('127.0.0.5')
  await expect.poll(given).toEqual([expect.objectContaining({ misdeed: 'crash', active: true })])
  error = new Error('the directory does not answer')
  const refused = await ssh(server, ['true'], from('127.0.0.6'))
  expect(refused.stderr.toString()).toMatch(/:7: internal error; the gateway log has the cause/)
  expect(refused.stderr.toString()).not.toContain('Permission denied')
  await expect.poll(() => server.server.connections()).toBe(0)
  expect(given()).toHaveLength(1)
  expect(server.events.filter(({ type }) => type === 'fault')).toHaveLength(2)
})

test('a gateway that goes does not blame who was logging in', async () => {
  await start({ min: 0 })
  const waiting = dial('127.0.0.5')
  await once(waiting, 'data')
  server.server.disconnectAll('going')
  await once(waiting.resume(), 'close')
  expect(given()).toEqual([])
})

test('refuseConnection: those sources read so at once, and it counts', async () => {
  await start({}, { refuseConnection: blocks('127.0.0.64/26') })
  expect(await greeting('127.0.0.70')).toBe('Not allowed at this time')
  expect(await greeting('127.0.0.63')).toMatch(/^SSH-2\.0-/)
  expect(given()).toContainEqual(expect.objectContaining({ misdeed: 'refuseconnection', active: false }))
  expect(await greeting('127.0.0.70')).toBe('Not allowed at this time')
  const reasons = server.events.flatMap((event) => (event.type === 'drop' ? [event.reason] : []))
  expect(reasons).toEqual(['refuse-connection', 'refuse-connection'])
  expect(await greeting('127.0.0.70')).toBe('Not allowed at this time')
  expect(server.events.at(-1)).toMatchObject({ type: 'drop', reason: 'penalty', detail: 'penalty: refuseconnection' })
})

test('the exempt list: nothing is counted', async () => {
  await start({ min: 0 }, { perSourcePenaltyExemptList: blocks('127.0.0.0/8') })
  await failLogin('127.0.0.5')
  expect((await ssh(server, ['true'], from('127.0.0.5'))).code).toBe(0)
  expect(given()).toEqual([])
})

test('limits that change count for the next connection', async () => {
  let limits: SshLimits = { ...LIMITS, refuseConnection: blocks('127.0.0.5') }
  server = await startServer({ allLimits: () => limits })
  expect(await greeting('127.0.0.5')).toBe('Not allowed at this time')
  limits = LIMITS
  expect(await greeting('127.0.0.5')).toMatch(/^SSH-2\.0-/)
})

test('1,000 connections that are dropped, one way or another, leave no timer, no socket and no count', async () => {
  const timers = new Set<NodeJS.Timeout>()
  const { setTimeout: set, clearTimeout: clear } = globalThis
  vi.stubGlobal('setTimeout', (run: (...args: unknown[]) => void, ...rest: [number, ...unknown[]]) => {
    const timer = set(
      (...args: unknown[]) => {
        timers.delete(timer)
        run(...args)
      },
      ...rest,
    )
    timers.add(timer)
    return timer
  })
  vi.stubGlobal('clearTimeout', (timer: NodeJS.Timeout) => {
    timers.delete(timer)
    clear(timer)
  })
  try {
    const maxStartups = { start: 20, rate: 30, full: 80 }
    await start(
      { enabled: false },
      { maxStartups, perSourceMaxStartups: 10, refuseConnection: blocks('127.0.0.9'), loginGraceTime: 20_000 },
      { approach: createApproach({ proxies: () => blocks('127.0.0.8') }) },
    )
    await new Promise((resolve) => set(resolve, 200))
    const before = { timers: timers.size, sockets: openSockets() }
    const ways: readonly (readonly [string, (socket: Socket) => unknown])[] = [
      ['127.0.0.5', (socket) => socket.end('nonsense\r\n')],
      ['127.0.0.6', (socket) => socket.end()],
      ['127.0.0.6', (socket) => socket.once('data', () => socket.resetAndDestroy())],
      ['127.0.0.7', (socket) => socket.end('SSH-2.0-x\r\n')],
      ['127.0.0.7', (socket) => socket.write('SSH-2.0-x\r\n', () => socket.resetAndDestroy())],
      ['127.0.0.8', (socket) => socket.end('PROXY TCP4 1.2.3.4 nonsense\r\n')],
      ['127.0.0.8', (socket) => socket.end('PROXY TCP4 1.2.3')],
      ['127.0.0.8', (socket) => socket.write('PROXY TCP4 127.0.0.9 1.2.3.4 1 2\r\n')],
      ['127.0.0.9', () => {}],
      ['127.0.0.10', (socket) => socket.end('GET / HTTP/1.1\r\n\r\n')],
      ['127.0.0.11', () => {}],
    ]
    // They take all places of two sources, and as many as make the others drop at random.
    const holders = Array.from({ length: 20 }, (_, i) => dial(i % 2 === 0 ? '127.0.0.11' : '127.0.0.12'))
    await Promise.all(holders.map((socket) => once(socket, 'data')))
    for (let round = 0; round < 10; round++) {
      const closed = ways.flatMap(([address, act]) =>
        Array.from({ length: 10 }, async () => {
          const socket = dial(address)
          socket.once('connect', () => act(socket))
          socket.resume()
          await once(socket, 'close')
        }),
      )
      await Promise.all(closed)
    }
    const reasons = new Set(server.events.flatMap((event) => (event.type === 'drop' ? [event.reason] : [])))
    expect([...reasons].sort()).toEqual(
      expect.arrayContaining(['max-startups', 'per-source-max-startups', 'proxy-header', 'refuse-connection'].sort()),
    )
    for (const socket of holders) socket.destroy()
    await expect.poll(() => server.server.connections(), { timeout: 10_000 }).toBe(0)
    await expect.poll(openSockets, { timeout: 10_000 }).toBe(before.sockets)
    await expect.poll(() => timers.size, { timeout: 10_000 }).toBeLessThanOrEqual(before.timers + 2)
    // As many places as ever.
    const held = Array.from({ length: 20 }, (_, i) => dial(i % 2 === 0 ? '127.0.0.11' : '127.0.0.12'))
    const heard = await Promise.all(held.map(async (socket) => String((await once(socket, 'data'))[0])))
    expect(heard.every((text) => text.startsWith('SSH-2.0-'))).toBe(true)
  } finally {
    vi.unstubAllGlobals()
  }
}, 120_000)

function openSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length
}
