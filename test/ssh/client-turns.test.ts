/** However much a client sends at once, the others have their turn in between; and nothing of it is lost or out of order. */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { exchange, frame, kexInit, kexinit, MESSAGE } from './kex/raw-client.ts'
import { connectPeer, fields, HIDE_CHANNELS, Message, type Peer, type PeerOptions, packet } from './peer.ts'
import { startServer, type TestServer } from './support.ts'

/** In a read. */
const MANY = 1000
const A_TURN = 256
const OPEN = packet(Message.CHANNEL_OPEN, 'direct-streamlocal@openssh.com', 1, 1, 1, { raw: fields('/socket', '', 0) })
const IGNORE = packet(Message.IGNORE, 'x')
const CURVE = 'curve25519-sha256'
const KEY = kexInit(Buffer.alloc(32, 9))
const NOWHERE = { address: '127.0.0.1', port: 1 }

let server: TestServer
let peer: Peer | undefined
/** Requests for a channel so far, and when the rest of the process had its first turn after one. */
let handled = 0
let inFirstTurn: number | undefined

beforeEach(async () => {
  handled = 0
  inFirstTurn = undefined
  server = await startServer({
    handlers: () => ({
      direct: async () => {
        handled++
        if (handled === 1)
          setImmediate(() => {
            inFirstTurn = handled
          })
        return { reason: 'prohibited', message: 'no' }
      },
    }),
  })
})
afterEach(async () => {
  peer?.close()
  await server.close()
})

const reasons = () => server.events.flatMap((event) => (event.type === 'disconnect' ? [event.reason] : []))

/** What `write` sends leaves in one piece. */
async function atOnce(options: PeerOptions, write: (peer: Peer) => void): Promise<Peer> {
  const connected = await connectPeer(server, { hide: HIDE_CHANNELS, ...options })
  peer = connected
  const socket: Socket = Reflect.get(connected.client, '_sock')
  socket.cork()
  write(connected)
  socket.uncork()
  return connected
}

test.each(['aes128-gcm@openssh.com', 'aes128-ctr'] as const)('packets, with %s', async (cipher) => {
  await atOnce({ algorithms: { cipher: [cipher] } }, ({ send }) => {
    for (let i = 0; i < MANY; i++) send(OPEN)
  })
  await expect.poll(() => handled).toBe(MANY)
  expect(inFirstTurn).toBeLessThanOrEqual(A_TURN)
})

test('bytes, when they were compressed', async () => {
  const empty = packet(Message.IGNORE, Buffer.alloc(200_000))
  await atOnce({ algorithms: { compress: ['zlib@openssh.com'] } }, ({ send }) => {
    for (const payload of [OPEN, ...Array.from({ length: 20 }, () => empty), OPEN]) send(payload)
  })
  await expect.poll(() => handled).toBe(2)
  expect(inFirstTurn).toBe(1)
})

test('bytes, when they were compressed and new keys are being exchanged', async () => {
  const empty = packet(Message.IGNORE, Buffer.alloc(200_000))
  const { client } = await atOnce({ algorithms: { compress: ['zlib@openssh.com'] } }, (connected) => {
    connected.rekey()
    for (const payload of [OPEN, ...Array.from({ length: 20 }, () => empty), OPEN]) connected.sendInExchange(payload)
  })
  await once(client, 'handshake')
  await expect.poll(() => handled).toBe(2)
  expect(inFirstTurn).toBe(1)
})

test.each<[string, readonly Buffer[]]>([
  ['before KEXINIT', []],
  ['after KEXINIT', [kexinit([CURVE])]],
  ['after the key', [kexinit([CURVE]), KEY]],
])('packets of a stranger, %s', async (_when, before) => {
  const stream = new Duplex({ read() {}, write: (_bytes, _encoding, done) => done() })
  const served = server.server.inject(stream, NOWHERE, NOWHERE)
  const bye = packet(Message.DISCONNECT, 11, 'bye', '')
  const said = [...before, ...Array.from({ length: MANY }, () => IGNORE), bye].map(frame)
  stream.push(Buffer.concat([Buffer.from('SSH-2.0-stranger\r\n'), ...said]))
  let turns = 0
  while (!reasons().length && turns < MANY) {
    await nextTurn()
    turns++
  }
  expect(reasons()).toEqual(['disconnected by user'])
  expect(turns).toBeGreaterThan(Math.floor(MANY / A_TURN))
  await served
})

test('a stranger that hides its key among many packets is answered', async () => {
  const many = Array.from({ length: MANY }, () => IGNORE)
  const answers = await exchange(server.port, { kex: [CURVE], send: [...many, KEY, ...many] })
  expect(answers.map(([type]) => type)).toEqual([MESSAGE.KEXINIT, MESSAGE.KEX_REPLY, MESSAGE.NEWKEYS])
})

test('what is left is handled before what comes later, also when new keys are asked for in the middle of it', async () => {
  const { client, send, next } = await atOnce({}, (connected) => {
    for (let i = 0; i < MANY; i++) connected.send(packet(Message.PING, String(i)))
    connected.rekey()
  })
  await once(client, 'handshake')
  for (let i = MANY; i < 2 * MANY; i++) send(packet(Message.PING, String(i)))
  for (let i = 0; i < 2 * MANY; i++) expect((await next(Message.PONG)).reader.text()).toBe(String(i))
})

test('and of who leaves at once', async () => {
  await atOnce({}, ({ send, client }) => {
    for (let i = 0; i < MANY; i++) send(OPEN)
    client.end()
  })
  await expect.poll(() => handled).toBe(MANY)
})
