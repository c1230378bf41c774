/** What one identity can make us keep, in all its connections together. */
import { afterEach, expect, test } from 'vitest'
import { Budgets } from '../../src/ssh/budget.ts'
import type { SshSession } from '../../src/ssh/session.ts'
import { FakeEnd } from '../support/fake-end.ts'
import { connectPeer, fields, HIDE_CHANNELS, Message, openSession, type Peer, packet } from './peer.ts'
import { startServer, type TestServer, type TestServerOptions } from './support.ts'

const WINDOW = 64 * 1024
/** Sixteen windows. */
const MAX_BYTES = 16 * WINDOW
const PIECE = Buffer.alloc(32 * 1024)

let server: TestServer | undefined
const peers: Peer[] = []

afterEach(async () => {
  for (const peer of peers.splice(0)) peer.close()
  await server?.close()
})

async function start(options: TestServerOptions = {}): Promise<void> {
  server = await startServer({
    session: (session) => session.accept(),
    limits: { maxSessions: 100 },
    ...options,
    maxBytesPerIdentity: MAX_BYTES,
  })
}

async function connect(): Promise<Peer> {
  if (!server) throw new Error('no server')
  const peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  peers.push(peer)
  return peer
}

/** The server's number of a channel, or the reason that there is none. */
async function open(
  peer: Peer,
  type = 'session',
  data: Buffer = Buffer.alloc(0),
): Promise<{ id: number } | { refused: number }> {
  peer.send(packet(Message.CHANNEL_OPEN, type, 1, 0, 32 * 1024, { raw: data }))
  const { type: answer, reader } = await peer.next(Message.CHANNEL_OPEN_CONFIRMATION, Message.CHANNEL_OPEN_FAILURE)
  reader.u32()
  return answer === Message.CHANNEL_OPEN_FAILURE ? { refused: reader.u32() } : { id: reader.u32() }
}

/** How many channels can still be opened. */
async function room(peer: Peer): Promise<number> {
  for (let count = 0; ; count++) {
    const opened = await open(peer)
    if ('id' in opened) continue
    expect(opened.refused).toBe(4) // SSH_OPEN_RESOURCE_SHORTAGE
    return count
  }
}

/** All the channels of a fresh connection, once the others are gone. */
async function allRoom(): Promise<number> {
  for (const peer of peers.splice(0)) peer.close()
  await expect.poll(() => server?.server.connections()).toBe(0)
  return room(await connect())
}

function given(peer: Peer): number {
  const adjusts = peer.packets.filter(({ type }) => type === Message.CHANNEL_WINDOW_ADJUST)
  return adjusts.reduce((sum, { payload }) => sum + payload.readUInt32BE(5), 0)
}

test('the connections of an identity share a budget, whose last quarter is not for what can be done without', () => {
  const budgets = new Budgets(100)
  const [one, two, other] = [budgets.enter('alice'), budgets.enter('alice'), budgets.enter('bob')]
  expect(one.budget.take(60)).toBe(true)
  expect(two.budget.take(41)).toBe(false)
  expect(two.budget.spare(16)).toBe(false)
  expect(two.budget.spare(15)).toBe(true)
  expect(two.budget.take(25)).toBe(true)
  expect(other.budget.take(100)).toBe(true)
  one.budget.give(60)
  expect(two.budget.take(60)).toBe(true)
})

test('who has left and given everything back is forgotten, and not before', () => {
  const budgets = new Budgets(100)
  const { budget, leave } = budgets.enter('alice')
  budget.take(100)
  leave()
  expect(budgets.enter('alice').budget.take(1)).toBe(false)
  budget.give(100)
  expect(budgets.size).toBe(1)
  const again = budgets.enter('alice')
  again.leave()
  expect(budgets.size).toBe(1)
})

test('channels beyond the budget are refused, in whichever connection, until there is room again', async () => {
  await start()
  const [one, two] = [await connect(), await connect()]
  const first = await open(one)
  expect(await room(two)).toBe(15)
  expect(await room(one)).toBe(0)
  one.send(packet(Message.CHANNEL_CLOSE, 'id' in first ? first.id : 0))
  await one.next(Message.CHANNEL_CLOSE)
  expect(await room(two)).toBe(1)
})

test('a window begins small, grows as it is read, and leaves the last quarter to others', async () => {
  await start({
    session: (session) => {
      session.accept()
      session.stdin.resume()
    },
  })
  const peer = await connect()
  const channel = await openSession(peer)
  expect(channel.window).toBe(WINDOW)
  channel.request('shell', true)
  for (let sent = 0; sent < 2 * MAX_BYTES; sent += PIECE.length) {
    await expect.poll(() => channel.window + given(peer) - sent).toBeGreaterThanOrEqual(PIECE.length)
    channel.data(PIECE)
  }
  // It asked for as much again as it had, until that was too much.
  const left = await room(peer)
  expect(left).toBeGreaterThanOrEqual(4)
  expect(left).toBeLessThan(12)
})

test('what a gone channel leaves to a target that takes nothing counts until the target has it', async () => {
  const targets: FakeEnd[] = []
  const direct = async () => {
    const target = new FakeEnd()
    target.takes = false
    targets.push(target)
    return target
  }
  await start({ handlers: () => ({ direct }) })
  const peer = await connect()
  const where: Buffer = fields('127.0.0.1', 80, '127.0.0.1', 1)
  for (let i = 0; i < 12; i++) {
    const opened = await open(peer, 'direct-tcpip', where)
    if (!('id' in opened)) throw new Error('no channel')
    peer.send(packet(Message.CHANNEL_DATA, opened.id, Buffer.of(1)))
    peer.send(packet(Message.CHANNEL_DATA, opened.id, Buffer.alloc(WINDOW - 1)))
    peer.send(packet(Message.CHANNEL_CLOSE, opened.id))
    await peer.next(Message.CHANNEL_CLOSE)
  }
  expect(await room(peer)).toBe(4)
  expect(await allRoom()).toBe(4)
  for (const target of targets) {
    target.takes = true
    target.heard.drained()
  }
  expect(await allRoom()).toBe(16)
})

test('output that nobody reads, beyond the budget, ends the connection that has it', async () => {
  await start({
    session: (session) => {
      session.accept()
      // As a helper does that had credit: what is under way comes, whatever was answered.
      for (let i = 0; i < 20; i++) session.write(1, Buffer.alloc(WINDOW))
    },
  })
  const peer = await connect()
  const opened = await open(peer)
  peer.send(packet(Message.CHANNEL_REQUEST, 'id' in opened ? opened.id : 0, 'shell', false))
  await peer.closed
  expect(server?.events).toContainEqual(expect.objectContaining({ reason: 'too much waits for you to read it' }))
  expect(await allRoom()).toBe(16)
})

test('a command and its variables count as long as their session', async () => {
  let begun: SshSession | undefined
  await start({
    session: (session) => {
      begun = session
      session.accept()
    },
  })
  const peer = await connect()
  const { id, request } = await openSession(peer)
  for (let i = 0; i < 4; i++) request('env', false, fields(`A${i}`, 'x'.repeat(WINDOW - 2)))
  request('exec', true, fields('x'.repeat(2 * WINDOW)))
  await peer.next(Message.CHANNEL_SUCCESS)
  expect(begun?.env.size).toBe(4)
  expect(await room(peer)).toBe(16 - 1 - 4 - 2)
  peer.send(packet(Message.CHANNEL_CLOSE, id))
  await peer.next(Message.CHANNEL_CLOSE)
  expect(await room(peer)).toBe(1 + 4 + 2)
})

test('requests that wait for the answer of one before them count', async () => {
  let allow: (allowed: boolean) => void = () => {}
  const allowed = new Promise<boolean>((resolve) => {
    allow = resolve
  })
  await start({ handlers: () => ({ allow: () => allowed }) })
  const peer = await connect()
  const { request } = await openSession(peer)
  for (let i = 0; i < 3; i++) request('env', false, fields('A', 'x'.repeat(WINDOW)))
  request('shell', true)
  expect(await room(peer)).toBe(16 - 1 - 1 - 2 - 1)
  allow(true)
  await peer.next(Message.CHANNEL_SUCCESS)
  expect(await room(peer)).toBeGreaterThan(0)
  expect(await allRoom()).toBe(16)
})

test('a command for which there is no room is refused', async () => {
  await start()
  const peer = await connect()
  const { request } = await openSession(peer)
  await room(peer)
  request('exec', true, fields('true'))
  await peer.next(Message.CHANNEL_FAILURE)
})

test('input that nobody reads is forgotten with its session', async () => {
  await start({
    session: async (session) => {
      session.accept()
      await session.exit({ code: 0 })
    },
  })
  const peer = await connect()
  for (let i = 0; i < 40; i++) {
    const { id, request, data } = await openSession(peer)
    data(Buffer.alloc(32 * 1024))
    peer.send(packet(Message.CHANNEL_EOF, id))
    // Half of them never start a program.
    if (i % 2 === 0) request('shell', false)
    peer.send(packet(Message.CHANNEL_CLOSE, id))
    await peer.next(Message.CHANNEL_CLOSE)
  }
  expect(await room(peer)).toBe(16)
})

test('global requests that wait are counted by their bytes', async () => {
  await start({ handlers: () => ({ forward: () => new Promise(() => {}) }) })
  const peer = await connect()
  peer.send(packet(Message.GLOBAL_REQUEST, 'tcpip-forward', true, '', 1))
  const large = () => peer.send(packet(Message.GLOBAL_REQUEST, 'large', false, { raw: Buffer.alloc(100_000) }))
  for (let i = 0; i < 2; i++) large()
  await open(peer)
  large()
  await peer.closed
  expect(server?.events).toContainEqual(expect.objectContaining({ reason: 'too many requests' }))
})

test('who has left and given all back takes nothing more, and closes nobody else’s account', () => {
  const budgets = new Budgets(10)
  const gone = budgets.enter('eve')
  gone.leave()
  const here = budgets.enter('eve')
  expect(here.budget.take(6)).toBe(true)
  expect([gone.budget.take(6), gone.budget.take(0)]).toEqual([false, true])
  gone.budget.give(0)
  expect(budgets.enter('eve').budget.take(6)).toBe(false)
  expect(budgets.size).toBe(1)
})
