/** Channels besides sessions, with the real client: -L, -R, -W, -D, unix sockets, agent, X11. */
import { type ChildProcess, execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { afterEach, expect, test, vi } from 'vitest'
import { StreamEnd, streamOf } from '../../src/bytes/end-stream.ts'
import { type End, relay } from '../../src/bytes/relay.ts'
import { deferred } from '../../src/lifetime/deferred.ts'
import type { ConnectionHandlers, DirectTarget, ForwardBind, SshConnection } from '../../src/ssh/connection.ts'
import { fields, PacketReader } from '../../src/ssh/packets.ts'
import type { SshSession } from '../../src/ssh/session.ts'
import { FakeEnd } from '../support/fake-end.ts'
import { connectPeer, HIDE_CHANNELS, Message, packet } from './peer.ts'
import { program, run, ssh, start, startServer, type TestServer } from './support.ts'

let server: TestServer
const children: ChildProcess[] = []
const servers: Server[] = []

afterEach(async () => {
  vi.useRealTimers()
  for (const child of children.splice(0)) child.kill('SIGKILL')
  for (const listener of servers.splice(0)) listener.close()
  await server?.close()
})

/** A TCP or unix server; resolves with its port. */
async function listen(onSocket: (socket: Socket) => void, path?: string): Promise<number> {
  const listener = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    onSocket(socket)
  })
  servers.push(listener)
  if (path) listener.listen(path)
  else listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  return typeof address === 'object' ? (address?.port ?? 0) : 0
}

const echo = (socket: Socket) => void socket.pipe(socket)

async function freePort(): Promise<number> {
  const port = await listen(() => {})
  servers.pop()?.close()
  return port
}

/** Connects where the client says. */
function dialer(seen: DirectTarget[]): Partial<ConnectionHandlers> {
  return {
    async direct(target): Promise<End | { reason: 'connect-failed'; message: string }> {
      seen.push(target)
      const options = { allowHalfOpen: true }
      const socket =
        target.kind === 'tcp'
          ? connect({ ...options, host: target.host, port: target.port })
          : connect({ ...options, path: target.path })
      try {
        await once(socket, 'connect')
        return new StreamEnd(socket)
      } catch (error) {
        return { reason: 'connect-failed', message: error instanceof Error ? error.message : 'failed' }
      }
    },
  }
}

async function tunnel(...args: string[]): Promise<void> {
  const child = start('ssh', ['-N', '-o', 'ExitOnForwardFailure=yes', ...args, ...server.options, '127.0.0.1'])
  children.push(child)
  await expect.poll(() => server.connections.length, { timeout: 10_000 }).toBeGreaterThan(0)
}

async function dial(port: number): Promise<Socket> {
  for (let i = 0; ; i++) {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    const error = await Promise.race([once(socket, 'connect').then(() => undefined), once(socket, 'error')]).catch(
      (e) => e,
    )
    if (!error) return socket
    if (i > 100) throw error
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function readAll(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = []
  // Not `for await`: it destroys the stream, and the other direction with it.
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(stream, 'end')
  return Buffer.concat(chunks)
}

test('-L: 5 MB go there and back, half-closed from the near end', async () => {
  const seen: DirectTarget[] = []
  const port = await listen(echo)
  server = await startServer({ handlers: () => dialer(seen) })
  const local = await freePort()
  await tunnel('-L', `${local}:127.0.0.1:${port}`)
  const socket = await dial(local)
  const bytes = randomBytes(5_000_000)
  const back = readAll(socket)
  socket.end(bytes)
  expect((await back).equals(bytes)).toBe(true)
  expect(seen[0]).toMatchObject({ kind: 'tcp', host: '127.0.0.1', port, originator: { address: '127.0.0.1' } })
})

test('-L: the far end speaks first, half-closes, and still hears the near end', async () => {
  let heard = ''
  const port = await listen((socket) => {
    socket.end('server first')
    socket.on('data', (chunk: Buffer) => {
      heard += chunk
    })
  })
  server = await startServer({ handlers: () => dialer([]) })
  const local = await freePort()
  await tunnel('-L', `${local}:127.0.0.1:${port}`)
  const socket = await dial(local)
  expect(String(await readAll(socket))).toBe('server first')
  socket.end('late words')
  await expect.poll(() => heard).toBe('late words')
})

test('-L: 30 connections at once', async () => {
  const port = await listen(echo)
  server = await startServer({ handlers: () => dialer([]) })
  const local = await freePort()
  await tunnel('-L', `${local}:127.0.0.1:${port}`)
  await dial(local).then((socket) => socket.destroy())
  const results = await Promise.all(
    Array.from({ length: 30 }, async (_, i) => {
      const socket = await dial(local)
      socket.end(`connection ${i}`)
      return String(await readAll(socket))
    }),
  )
  expect(results).toEqual(Array.from({ length: 30 }, (_, i) => `connection ${i}`))
})

test('-W: standard input and output joined to the target', async () => {
  const port = await listen(echo)
  server = await startServer({ handlers: () => dialer([]) })
  const result = await ssh(server, [], { first: ['-W', `127.0.0.1:${port}`], input: 'through' })
  expect(result.stdout.toString()).toBe('through')
})

test('-D: SOCKS through the server, to a name it resolves', async () => {
  const seen: DirectTarget[] = []
  const port = await listen((socket) => socket.end('HTTP/1.0 200 OK\r\n\r\nhello'))
  server = await startServer({ handlers: () => dialer(seen) })
  const local = await freePort()
  await tunnel('-D', String(local))
  await dial(local).then((socket) => socket.destroy())
  const result = await run('curl', ['-s', '--socks5-hostname', `127.0.0.1:${local}`, `http://localhost:${port}/`])
  expect(result.stdout.toString()).toBe('hello')
  expect(seen.at(-1)).toMatchObject({ host: 'localhost' })
})

test('-L to a unix socket', async () => {
  server = await startServer({ handlers: () => dialer([]) })
  const path = join(server.folder.path, 'far.sock')
  await listen(echo, path)
  const local = await freePort()
  await tunnel('-L', `${local}:${path}`)
  const socket = await dial(local)
  socket.end('unix')
  expect(String(await readAll(socket))).toBe('unix')
})

test.each([
  ['no handler: prohibited', {}, 1],
  ['refused: connect failed', { direct: async () => ({ reason: 'connect-failed', message: 'refused' }) }, 2],
  ['the handler throws: connect failed', { direct: () => Promise.reject(new Error('secret')) }, 2],
] as [string, Partial<ConnectionHandlers>, number][])('direct-tcpip, %s', async (_name, handlers, reason) => {
  server = await startServer({ handlers: () => handlers })
  const peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  const target = fields('host', 80, '127.0.0.1', 1)
  peer.send(packet(Message.CHANNEL_OPEN, 'direct-tcpip', 5, 1000, 1000, { raw: target }))
  const { reader } = await peer.next(Message.CHANNEL_OPEN_FAILURE)
  expect([reader.u32(), reader.u32()]).toEqual([5, reason])
  expect(reader.text()).not.toContain('secret')
  peer.close()
})

test.each([
  ['direct-tcpip', 65_536],
  ['direct-tcpip', 0xffffffff],
])('%s to port %d is refused as prohibited, and no handler hears of it', async (type, port) => {
  const seen: DirectTarget[] = []
  server = await startServer({ handlers: () => dialer(seen) })
  const peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  peer.send(packet(Message.CHANNEL_OPEN, type, 5, 1000, 1000, { raw: fields('127.0.0.1', port, '127.0.0.1', 1) }))
  const { reader } = await peer.next(Message.CHANNEL_OPEN_FAILURE)
  expect([reader.u32(), reader.u32()]).toEqual([5, 1])
  peer.send(packet(Message.GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', port))
  await peer.next(Message.REQUEST_FAILURE)
  expect(seen).toEqual([])
  expect(server.events.filter(({ type }) => type === 'fault')).toEqual([])
  peer.close()
})

test('an unknown channel type is refused by its reason, and the connection lives', async () => {
  server = await startServer()
  const peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  peer.send(packet(Message.CHANNEL_OPEN, 'tun@openssh.com', 5, 1000, 1000))
  const { reader } = await peer.next(Message.CHANNEL_OPEN_FAILURE)
  expect([reader.u32(), reader.u32()]).toEqual([5, 3])
  peer.send(packet(Message.CHANNEL_OPEN, 'session', 6, 1000, 1000))
  await peer.next(Message.CHANNEL_OPEN_CONFIRMATION)
  peer.close()
})

test('a client that leaves while its target takes nothing: what it sent goes there as the target takes it, whole', async () => {
  const target = new FakeEnd()
  target.takes = false
  server = await startServer({ handlers: () => ({ direct: async () => target }) })
  const peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  const where = fields('127.0.0.1', 80, '127.0.0.1', 1)
  peer.send(packet(Message.CHANNEL_OPEN, 'direct-tcpip', 0, 1000, 1000, { raw: where }))
  const { reader } = await peer.next(Message.CHANNEL_OPEN_CONFIRMATION)
  reader.u32()
  const id = reader.u32()
  for (const text of ['one ', 'two ', 'three']) peer.send(packet(Message.CHANNEL_DATA, id, Buffer.from(text)))
  await expect.poll(() => target.done).toEqual(['write one '])
  peer.send(packet(Message.CHANNEL_CLOSE, id))
  await peer.next(Message.CHANNEL_CLOSE)
  expect(target.done).toEqual(['write one '])
  target.takes = true
  target.heard.drained()
  await expect.poll(() => target.done.at(-1)).toBe('end')
  expect(target.done.slice(0, -1).join('').replaceAll('write ', '')).toBe('one two three')
  // It has not left there, so it may take its time.
  target.heard.finished()
  expect(target.done.at(-1)).toBe('destroy')
  peer.close()
})

test('a target that breaks closes the channel, and a channel that closes destroys the target', async () => {
  const sockets: Socket[] = []
  const port = await listen((socket) => sockets.push(socket))
  server = await startServer({ handlers: () => dialer([]) })
  const peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  const target = fields('127.0.0.1', port, '127.0.0.1', 1)
  for (let i = 0; i < 2; i++) peer.send(packet(Message.CHANNEL_OPEN, 'direct-tcpip', i, 1000, 1000, { raw: target }))
  await peer.next(Message.CHANNEL_OPEN_CONFIRMATION)
  const second = await peer.next(Message.CHANNEL_OPEN_CONFIRMATION)
  await expect.poll(() => sockets.length).toBe(2)
  sockets[0]?.resetAndDestroy()
  await peer.next(Message.CHANNEL_CLOSE)
  second.reader.u32()
  const closed = once(sockets[1] as Socket, 'close')
  sockets[1]?.resume()
  sockets[1]?.on('end', () => sockets[1]?.end())
  peer.send(packet(Message.CHANNEL_CLOSE, second.reader.u32()))
  await closed
  peer.close()
})

/** Listens here for what the client asks to have listened to. */
function forwarder(connection: SshConnection<string>, binds: ForwardBind[], cancelled: ForwardBind[]) {
  const bound = new Map<string, Server>()
  const handlers: Partial<ConnectionHandlers> = {
    async forward(bind) {
      binds.push(bind)
      if (bind.kind === 'tcp' && bind.port === 1) return undefined
      const listener = createServer({ allowHalfOpen: true }, async (socket) => {
        const actual = bind.kind === 'tcp' ? { ...bind, port } : bind
        relay(new StreamEnd(socket), await connection.openForwarded(actual, { address: '10.9.8.7', port: 4321 }))
      })
      servers.push(listener)
      if (bind.kind === 'tcp') listener.listen(bind.port, '127.0.0.1')
      else listener.listen(bind.path)
      await once(listener, 'listening')
      const address = listener.address()
      const port = typeof address === 'object' ? (address?.port ?? 0) : 0
      bound.set(JSON.stringify(bind.kind === 'tcp' ? { ...bind, port } : bind), listener)
      return port
    },
    async cancelForward(bind) {
      cancelled.push(bind)
      bound.get(JSON.stringify(bind))?.close()
      return bound.delete(JSON.stringify(bind))
    },
  }
  return handlers
}

test('-R with port 0: the client learns the port, and connections reach it', async () => {
  const binds: ForwardBind[] = []
  const port = await listen(echo)
  server = await startServer({ handlers: (connection) => forwarder(connection, binds, []) })
  await tunnel('-R', `0:127.0.0.1:${port}`)
  await expect.poll(() => binds.length, { timeout: 10_000 }).toBe(1)
  expect(binds[0]).toMatchObject({ kind: 'tcp', host: 'localhost', port: 0 })
  const address = servers.at(-1)?.address()
  const socket = await dial(typeof address === 'object' ? (address?.port ?? 0) : 0)
  const bytes = randomBytes(3_000_000)
  const back = readAll(socket)
  socket.end(bytes)
  expect((await back).equals(bytes)).toBe(true)
})

test('-R that the server refuses fails as with sshd', async () => {
  server = await startServer({ handlers: (connection) => forwarder(connection, [], []) })
  const result = await ssh(server, ['true'], { first: ['-o', 'ExitOnForwardFailure=yes', '-R', '1:127.0.0.1:9'] })
  expect(result.code).toBe(255)
  expect(result.stderr.toString()).toContain('remote port forwarding failed for listen port 1')
})

/** A forward that is answered when the test says so, and what was asked meanwhile. */
async function slowForward() {
  const asked: string[] = []
  const listening = deferred<number>()
  server = await startServer({
    handlers: () => ({
      forward: () => listening.promise,
      direct: async () => {
        asked.push('dial')
        return { reason: 'connect-failed', message: 'refused' }
      },
    }),
    session: async (session) => {
      session.accept()
      await session.earlier
      asked.push('program')
      await session.exit({ code: 0 })
    },
  })
  const peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  peer.send(packet(Message.GLOBAL_REQUEST, 'tcpip-forward', true, '', 7000))
  return { peer, asked, listening }
}

test('a dial does not overtake the tcpip-forward before it, nor an earlier dial', async () => {
  const { peer, asked, listening } = await slowForward()
  for (const id of [5, 6]) {
    const target = fields('127.0.0.1', 7000 + id, '127.0.0.1', 1)
    peer.send(packet(Message.CHANNEL_OPEN, 'direct-tcpip', id, 1000, 1000, { raw: target }))
  }
  // Answered at once: what came before it has been read.
  peer.send(packet(Message.CHANNEL_OPEN, 'nonsense', 7, 1000, 1000))
  expect((await peer.next(Message.CHANNEL_OPEN_FAILURE)).reader.u32()).toBe(7)
  expect(asked).toEqual([])
  listening.resolve(7000)
  await peer.next(Message.REQUEST_SUCCESS)
  expect((await peer.next(Message.CHANNEL_OPEN_FAILURE)).reader.u32()).toBe(5)
  expect((await peer.next(Message.CHANNEL_OPEN_FAILURE)).reader.u32()).toBe(6)
  peer.close()
})

test('a session knows of the tcpip-forward before it', async () => {
  const { peer, asked, listening } = await slowForward()
  peer.send(packet(Message.CHANNEL_OPEN, 'session', 5, 1000, 1000))
  const { reader } = await peer.next(Message.CHANNEL_OPEN_CONFIRMATION)
  reader.u32()
  peer.send(packet(Message.CHANNEL_REQUEST, reader.u32(), 'exec', true, 'true'))
  peer.send(packet(Message.CHANNEL_OPEN, 'nonsense', 7, 1000, 1000))
  await peer.next(Message.CHANNEL_OPEN_FAILURE)
  expect(asked).toEqual([])
  listening.resolve(7000)
  await peer.next(Message.REQUEST_SUCCESS)
  await peer.next(Message.CHANNEL_CLOSE)
  expect(asked).toEqual(['program'])
  peer.close()
})

test('what waits for a forward when the connection goes is not begun', async () => {
  const { peer, asked, listening } = await slowForward()
  const target = fields('127.0.0.1', 7000, '127.0.0.1', 1)
  peer.send(packet(Message.CHANNEL_OPEN, 'direct-tcpip', 5, 1000, 1000, { raw: target }))
  peer.send(packet(Message.CHANNEL_OPEN, 'nonsense', 7, 1000, 1000))
  await peer.next(Message.CHANNEL_OPEN_FAILURE)
  peer.close()
  await expect.poll(() => server.connections[0]?.closed.aborted).toBe(true)
  listening.resolve(7000)
  await new Promise(setImmediate)
  expect(asked).toEqual([])
  expect(server.events.filter(({ type }) => type === 'fault')).toEqual([])
})

test('-R of a unix socket', async () => {
  const port = await listen(echo)
  server = await startServer({ handlers: (connection) => forwarder(connection, [], []) })
  const path = join(server.folder.path, 'near.sock')
  await tunnel('-R', `${path}:127.0.0.1:${port}`)
  await expect.poll(() => servers.length, { timeout: 10_000 }).toBe(2)
  await new Promise((resolve) => setTimeout(resolve, 300))
  const socket = connect({ path, allowHalfOpen: true })
  socket.end('by path')
  expect(String(await readAll(socket))).toBe('by path')
})

test('cancel-tcpip-forward reaches the application and is answered', async () => {
  const cancelled: ForwardBind[] = []
  server = await startServer({ handlers: (connection) => forwarder(connection, [], cancelled) })
  const peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  peer.send(packet(Message.GLOBAL_REQUEST, 'tcpip-forward', true, '', 0))
  const port = (await peer.next(Message.REQUEST_SUCCESS)).reader.u32()
  peer.send(packet(Message.GLOBAL_REQUEST, 'cancel-tcpip-forward', true, '', port))
  expect((await peer.next(81, 82)).type).toBe(Message.REQUEST_SUCCESS)
  peer.send(packet(Message.GLOBAL_REQUEST, 'cancel-tcpip-forward', true, '', port))
  expect((await peer.next(81, 82)).type).toBe(Message.REQUEST_FAILURE)
  expect(cancelled).toHaveLength(2)
  peer.close()
})

test('forwarded-tcpip carries the address bound and who connected; data right behind the confirmation is kept', async () => {
  server = await startServer()
  const peer = await connectPeer(server, { hide: [...HIDE_CHANNELS, Message.CHANNEL_OPEN] })
  await expect.poll(() => server.connections.length).toBe(1)
  const opening = server.connections[0]?.openForwarded(
    { kind: 'tcp', host: 'localhost', port: 8080 },
    { address: '10.1.1.1', port: 99 },
  )
  const { reader } = await peer.next(Message.CHANNEL_OPEN)
  expect(reader.text()).toBe('forwarded-tcpip')
  const id = reader.u32()
  reader.u32()
  reader.u32()
  expect([reader.text(), reader.u32(), reader.text(), reader.u32()]).toEqual(['localhost', 8080, '10.1.1.1', 99])
  peer.send(packet(Message.CHANNEL_OPEN_CONFIRMATION, id, 3, 100_000, 32_768))
  peer.send(packet(Message.CHANNEL_DATA, id, Buffer.from('at once')))
  peer.send(packet(Message.CHANNEL_EOF, id))
  const end = await opening
  expect(end && String(await readAll(streamOf(end)))).toBe('at once')
  peer.close()
})

/** A forwarded-tcpip channel that the client has taken, and from which all came that comes from inside. */
async function forwardedAndEnded() {
  server = await startServer()
  const peer = await connectPeer(server, { hide: [...HIDE_CHANNELS, Message.CHANNEL_OPEN] })
  await expect.poll(() => server.connections.length).toBe(1)
  const where = { kind: 'tcp', host: 'localhost', port: 8080 } as const
  const opening = server.connections[0]?.openForwarded(where, { address: '10.1.1.1', port: 99 })
  const { reader } = await peer.next(Message.CHANNEL_OPEN)
  reader.text()
  const id = reader.u32()
  peer.send(packet(Message.CHANNEL_OPEN_CONFIRMATION, id, 3, 100_000, 32_768))
  const inside = new FakeEnd()
  relay(inside, (await opening) as End)
  // The clock of the wait is the test's: a busy machine must not decide what comes first.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  inside.heard.data(Buffer.from('request'))
  inside.heard.ended()
  await peer.next(Message.CHANNEL_DATA)
  return { peer, id }
}

test('the end of what comes from inside follows the client’s first answer, which a SOCKS proxy (-R PORT) needs', async () => {
  const { peer, id } = await forwardedAndEnded()
  expect(peer.packets.filter(({ type }) => type === Message.CHANNEL_EOF)).toEqual([])
  peer.send(packet(Message.CHANNEL_DATA, id, Buffer.from('answer')))
  await peer.next(Message.CHANNEL_EOF)
  peer.close()
})

test('the end of what comes from inside is told to a client that waits for it, too', async () => {
  const { peer } = await forwardedAndEnded()
  expect(peer.packets.filter(({ type }) => type === Message.CHANNEL_EOF)).toEqual([])
  vi.advanceTimersByTime(20)
  await peer.next(Message.CHANNEL_EOF)
  peer.close()
})

test('a channel that the client refuses, or that is open when it goes, rejects', async () => {
  server = await startServer()
  const peer = await connectPeer(server, { hide: [...HIDE_CHANNELS, Message.CHANNEL_OPEN] })
  await expect.poll(() => server.connections.length).toBe(1)
  const connection = server.connections[0]
  const first = connection?.openX11({ address: '127.0.0.1', port: 6000 })
  const { reader } = await peer.next(Message.CHANNEL_OPEN)
  expect(reader.text()).toBe('x11')
  peer.send(packet(Message.CHANNEL_OPEN_FAILURE, reader.u32(), 1, 'no display', ''))
  await expect(first).rejects.toThrow('no display')
  const second = connection?.openAgent()
  peer.close()
  await expect(second).rejects.toThrow('gone')
})

test('agent forwarding: the client’s agent lists its keys to us', async () => {
  let answer: Buffer | undefined
  let asked = false
  server = await startServer({
    session: async (session: SshSession, connection) => {
      asked = session.agentForwarding
      session.accept()
      const agent = streamOf(await connection.openAgent())
      agent.write(fields(Buffer.of(11))) // SSH_AGENTC_REQUEST_IDENTITIES
      const [chunk] = await once(agent, 'data')
      answer = chunk
      agent.end()
      await session.exit({ code: 0 })
    },
  })
  const socketPath = join(server.folder.path, 'agent.sock')
  const agent = start('ssh-agent', ['-D', '-a', socketPath])
  children.push(agent)
  await once(agent.stdout as NodeJS.ReadableStream, 'data')
  const env = { SSH_AUTH_SOCK: socketPath }
  execFileSync('ssh-add', ['-q', join(server.folder.path, 'user')], {
    env: { ...process.env, ...env },
    stdio: 'ignore',
  })
  const result = await ssh(server, ['true'], { first: ['-A', '-o', `IdentityAgent=${socketPath}`], env })
  expect(result.code).toBe(0)
  expect(asked).toBe(true)
  const reader = new PacketReader(answer ?? Buffer.alloc(0), 4)
  expect([reader.byte(), reader.u32()]).toEqual([12, 1])
})

test('a key exchange in the middle of a forwarded stream loses nothing', async () => {
  const port = await listen(echo)
  server = await startServer({
    handlers: () => dialer([]),
    limits: { rekeyLimit: { bytes: 700_000, milliseconds: 0 } },
    session: program(async () => ({ code: 0 })),
  })
  const local = await freePort()
  await tunnel('-L', `${local}:127.0.0.1:${port}`, '-o', 'KexAlgorithms=curve25519-sha256')
  const socket = await dial(local)
  const bytes = randomBytes(4_000_000)
  const back = readAll(socket)
  socket.end(bytes)
  expect((await back).equals(bytes)).toBe(true)
})
