/** sshd's limits on connections: MaxStartups, LoginGraceTime, MaxSessions, ClientAliveInterval; and listeners. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { shouldDrop } from '../../src/ssh/limits.ts'
import { connectPeer, fields, HIDE_CHANNELS, Message, openSession, packet } from './peer.ts'
import { program, ssh, start, startServer, type TestServer } from './support.ts'

let server: TestServer
const sockets: Socket[] = []

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await server?.close()
})

const ok = program(async () => ({ code: 0 }))

function dial(): Socket {
  const socket = connect(server.port, '127.0.0.1')
  socket.on('error', () => {})
  sockets.push(socket)
  return socket
}

test('MaxStartups drops as sshd does', () => {
  const limit = { start: 10, rate: 30, full: 100 }
  expect(shouldDrop(9, limit, () => 0)).toBe(false)
  expect(shouldDrop(10, limit, () => 29)).toBe(true)
  expect(shouldDrop(10, limit, () => 30)).toBe(false)
  expect(shouldDrop(55, limit, () => 64)).toBe(true)
  expect(shouldDrop(55, limit, () => 65)).toBe(false)
  expect(shouldDrop(100, limit, () => 99)).toBe(true)
})

test('MaxStartups counts only connections that are not yet logged in', async () => {
  server = await startServer({ session: ok, limits: { maxStartups: { start: 2, rate: 100, full: 2 } } })
  const inside = await connectPeer(server)
  const silent = [dial(), dial()]
  await Promise.all(silent.map((socket) => once(socket, 'data')))
  const third = dial()
  const [text] = await once(third, 'data')
  expect(String(text)).toMatch(/^Exceeded MaxStartups\r\nSSH-2\.0-/)
  // What a person reads, who has not asked for more.
  const refused = await ssh(server, ['true'], { first: ['-o', 'LogLevel=INFO'] })
  expect(refused.code).toBe(255)
  expect(refused.stderr.toString()).toMatch(
    /^Received disconnect from 127\.0\.0\.1 port \d+:12: Exceeded MaxStartups\r?$/m,
  )
  expect(server.events).toContainEqual(expect.objectContaining({ type: 'drop', reason: 'max-startups' }))
  for (const socket of silent) socket.destroy()
  await expect.poll(() => server.server.connections()).toBe(1)
  expect((await ssh(server, ['true'])).code).toBe(0)
  inside.close()
})

test('LoginGraceTime ends who does not log in, and not who did', async () => {
  server = await startServer({ session: ok, limits: { loginGraceTime: 500 } })
  const inside = await connectPeer(server)
  const silent = dial()
  silent.resume()
  const talking = dial()
  talking.write('SSH-2.0-slow\r\n')
  talking.resume()
  const from = Date.now()
  await Promise.all([once(silent, 'close'), once(talking, 'close')])
  expect(Date.now() - from).toBeLessThan(3000)
  const ends = server.events.filter((event) => event.type === 'disconnect')
  expect(ends).toHaveLength(2)
  expect(ends[0]).toMatchObject({ authenticated: false, reason: 'login grace time exceeded' })
  expect(server.server.connections()).toBe(1)
  inside.close()
})

test('MaxSessions: one more is refused and the others live; a closed one makes room', async () => {
  server = await startServer({ session: (session) => session.accept(), limits: { maxSessions: 2 } })
  const peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  const first = await openSession(peer, { local: 1 })
  await openSession(peer, { local: 2 })
  peer.send(packet(Message.CHANNEL_OPEN, 'session', 3, 1000, 1000))
  const refusal = await peer.next(Message.CHANNEL_OPEN_FAILURE)
  expect([refusal.reader.u32(), refusal.reader.u32()]).toEqual([3, 4])
  peer.send(packet(Message.CHANNEL_CLOSE, first.id))
  await peer.next(Message.CHANNEL_CLOSE)
  await openSession(peer, { local: 4 })
  peer.close()
})

test('no-more-sessions@openssh.com: a later session is refused', async () => {
  server = await startServer({ session: (session) => session.accept() })
  const peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  await openSession(peer)
  peer.send(packet(Message.GLOBAL_REQUEST, 'no-more-sessions@openssh.com', true))
  await peer.next(Message.REQUEST_SUCCESS)
  peer.send(packet(Message.CHANNEL_OPEN, 'session', 3, 1000, 1000))
  const refusal = await peer.next(Message.CHANNEL_OPEN_FAILURE)
  expect([refusal.reader.u32(), refusal.reader.u32()]).toEqual([3, 1])
  peer.close()
})

test('requests without end ahead of the answers end the connection', async () => {
  server = await startServer({ handlers: () => ({ allow: () => new Promise(() => {}) }) })
  const peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  const channel = await openSession(peer)
  for (let i = 0; i < 40; i++) channel.request('env', false, fields(`N${i}`, 'x'.repeat(30_000)))
  await expect(peer.closed).resolves.toBeDefined()
  expect(server.events).toContainEqual(expect.objectContaining({ reason: 'too many requests' }))
})

test('ClientAliveInterval: a client that answers stays, a frozen one is dropped', async () => {
  server = await startServer({
    session: (session) => session.accept(),
    limits: { clientAliveInterval: 200, clientAliveCountMax: 2 },
  })
  const child = start('ssh', ['-N', ...server.options, '127.0.0.1'])
  await expect.poll(() => server.connections.length, { timeout: 10_000 }).toBe(1)
  await new Promise((resolve) => setTimeout(resolve, 1500))
  expect(server.connections[0]?.closed.aborted).toBe(false)
  child.kill('SIGSTOP')
  await expect.poll(() => server.connections[0]?.closed.aborted, { timeout: 5000 }).toBe(true)
  expect(server.events).toContainEqual(expect.objectContaining({ reason: 'client does not answer' }))
  child.kill('SIGKILL')
})

test('ClientAliveCountMax 0: a frozen client is asked, and never dropped', async () => {
  server = await startServer({
    session: (session) => session.accept(),
    limits: { clientAliveInterval: 100, clientAliveCountMax: 0 },
  })
  const child = start('ssh', ['-N', ...server.options, '127.0.0.1'])
  await expect.poll(() => server.connections.length, { timeout: 10_000 }).toBe(1)
  child.kill('SIGSTOP')
  await new Promise((resolve) => setTimeout(resolve, 1500))
  expect(server.connections[0]?.closed.aborted).toBe(false)
  child.kill('SIGKILL')
})

test('close() stops listening and leaves connections; disconnectAll() tells them why', async () => {
  server = await startServer({ session: (session) => session.accept() })
  const second = await server.server.listen('127.0.0.1', 0)
  expect(second.port).not.toBe(server.port)
  const child = start('ssh', ['-N', ...server.options, '127.0.0.1'])
  const stderr: Buffer[] = []
  child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk))
  await expect.poll(() => server.connections.length, { timeout: 10_000 }).toBe(1)
  await server.server.close()
  await server.server.close()
  for (const port of [server.port, second.port]) {
    const socket = connect(port, '127.0.0.1')
    const [error] = await once(socket, 'error')
    expect(error.code).toBe('ECONNREFUSED')
  }
  expect(server.server.connections()).toBe(1)
  server.server.disconnectAll('maintenance at noon')
  await once(child, 'close')
  expect(Buffer.concat(stderr).toString()).toContain('maintenance at noon')
})

test('listen() rejects with the error of the bind', async () => {
  server = await startServer()
  await expect(server.server.listen('127.0.0.1', server.port)).rejects.toMatchObject({ code: 'EADDRINUSE' })
})
