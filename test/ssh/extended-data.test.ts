/** Extended data from a client goes nowhere, but it comes out of the window as other data does. */
import { afterEach, expect, test } from 'vitest'
import { connectPeer, HIDE_CHANNELS, Message, openSession, type Peer, packet } from './peer.ts'
import { startServer, type TestServer } from './support.ts'

const STDERR = 1
const PACKET = Buffer.alloc(32 * 1024)

let server: TestServer | undefined
afterEach(async () => await server?.close())

/** A session that nobody reads. */
async function unread() {
  server = await startServer({ session: (session) => session.accept() })
  const peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  const channel = await openSession(peer)
  channel.request('shell', true)
  await peer.next(Message.CHANNEL_SUCCESS)
  const extended = (bytes = PACKET) => peer.send(packet(Message.CHANNEL_EXTENDED_DATA, channel.id, STDERR, bytes))
  return { server, peer, channel, extended }
}

/** Everything sent before was handled: no such request exists, and it is answered in its turn. */
async function handled(peer: Peer) {
  peer.send(packet(Message.GLOBAL_REQUEST, 'barrier', true))
  await peer.next(Message.REQUEST_FAILURE)
}

function windowGiven(peer: Peer): number {
  const adjusts = peer.packets.filter(({ type }) => type === Message.CHANNEL_WINDOW_ADJUST)
  return adjusts.reduce((sum, { payload }) => sum + payload.readUInt32BE(5), 0)
}

test('gives back the window that it took', async () => {
  const { peer, extended } = await unread()
  for (let i = 0; i < 64; i++) extended()
  await handled(peer)
  expect(windowGiven(peer)).toBe(64 * PACKET.length)
})

test('gives none where the window was used up, and ends the connection as other data does', async () => {
  const { server, peer, channel, extended } = await unread()
  for (let left = channel.window; left > 0; left -= PACKET.length) channel.data(PACKET)
  const tenth = Buffer.alloc(Math.floor(channel.window / 10))
  extended(tenth)
  await handled(peer)
  extended(Buffer.of(1))
  await peer.closed
  expect(windowGiven(peer)).toBe(0)
  expect(server.events).toContainEqual(expect.objectContaining({ reason: 'peer ignored channel window' }))
})
