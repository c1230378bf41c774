/** What somebody who has not logged in may send: whatever it is, it is no fault of ours, and costs its sender a `noauth`. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { frame, kexInit, kexinit, MESSAGE } from './kex/raw-client.ts'
import { connectPeer, fields, Message, type Peer, packet } from './peer.ts'
import { LIMITS, program, ssh, startServer, type TestServer } from './support.ts'

const CURVE = 'curve25519-sha256'
const GREETING = Buffer.from('SSH-2.0-stranger\r\n')
const KEXINIT = frame(kexinit([CURVE]))
const STRICT_KEXINIT = frame(kexinit([CURVE, 'kex-strict-c-v00@openssh.com']))
const EVERY_NUMBER = Array.from({ length: 256 }, (_, number) => number)

let server: TestServer
beforeAll(async () => {
  server = await startServer({
    session: program(async () => ({ code: 0 })),
    limits: {
      maxStartups: { start: 1000, rate: 30, full: 1000 },
      // None keeps anybody out: the next test comes from the same source.
      perSourcePenalties: { ...LIMITS.perSourcePenalties, enabled: true, min: 2 ** 40 },
    },
  })
})
beforeEach(() => {
  server.events.length = 0
})
afterAll(() => server.close())

/** Says all of it at once, and nothing more. */
async function say(...parts: readonly Buffer[]): Promise<void> {
  const socket = connect(server.port, '127.0.0.1')
  socket.on('error', () => {})
  socket.resume()
  socket.end(Buffer.concat([GREETING, ...parts]))
  await once(socket, 'close')
}

const misdeeds = () => [...new Set(server.events.flatMap((event) => (event.type === 'penalty' ? [event.misdeed] : [])))]
const reasons = () => server.events.flatMap((event) => (event.type === 'disconnect' ? [event.reason] : []))
const faults = () => server.events.filter((event) => event.type === 'fault')

/** A packet whose padding is said to be longer than it is. */
function overpadded(payload: Buffer): Buffer {
  const bytes = frame(payload)
  bytes[4] = 255
  return bytes
}

test.each<[string, readonly Buffer[]]>([
  ['a key of an exchange that has not begun', [frame(Buffer.of(30, 0, 0, 0, 1, 2))]],
  ['NEWKEYS of an exchange that has not begun', [frame(Buffer.of(MESSAGE.NEWKEYS))]],
  ['a padding longer than its packet', [overpadded(Buffer.of(2, 0, 0, 0, 0))]],
  ['a padding longer than the KEXINIT', [overpadded(Buffer.of(MESSAGE.KEXINIT))]],
  ['an empty packet', [frame(Buffer.alloc(0))]],
  ['more after a wrong key', [KEXINIT, frame(kexInit(Buffer.alloc(5))), frame(Buffer.of(MESSAGE.NEWKEYS)), KEXINIT]],
  ['more after a packet of a wrong kind', [KEXINIT, frame(Buffer.of(90)), frame(Buffer.of(90)), KEXINIT]],
  ['more after DISCONNECT', [KEXINIT, frame(packet(Message.DISCONNECT, 11, 'bye', '')), frame(Buffer.of(30)), KEXINIT]],
  ['KEXINIT twice, and more', [KEXINIT, KEXINIT, frame(Buffer.of(30))]],
  ['KEXINIT after IGNORE in a strict exchange', [frame(packet(Message.IGNORE, 'x')), STRICT_KEXINIT, KEXINIT]],
  ['the name of the strict exchange as an exchange', [frame(kexinit(['kex-strict-s-v00@openssh.com'])), KEXINIT]],
])('%s', async (_what, parts) => {
  await say(...parts)
  await expect.poll(misdeeds).toEqual(['noauth'])
  expect(faults()).toEqual([])
})

test.each<[string, readonly Buffer[]]>([
  ['before KEXINIT', []],
  ['after KEXINIT', [KEXINIT]],
  ['after KEXINIT of a strict exchange', [STRICT_KEXINIT]],
  ['after the key', [KEXINIT, frame(kexInit(Buffer.alloc(32, 9)))]],
])('every message number %s, cut short and of garbage, twice', async (_when, before) => {
  const bodies = [Buffer.of(0, 0, 0), Buffer.alloc(40, 0xff)]
  for (const body of bodies) {
    await Promise.all(
      EVERY_NUMBER.map((number) => {
        const bytes = frame(Buffer.concat([Buffer.of(number), body]))
        return say(...before, bytes, bytes)
      }),
    )
  }
  await expect.poll(() => server.server.connections()).toBe(0)
  expect(faults()).toEqual([])
  expect(misdeeds()).toEqual(['noauth'])
})

test('every message number before the login, cut short and of garbage', async () => {
  let peer: Peer | undefined
  let connections = 0
  for (const number of EVERY_NUMBER) {
    for (const body of [Buffer.of(0, 0), fields('ssh-connection', Buffer.alloc(9)), Buffer.alloc(40, 0xff)]) {
      if (!peer) {
        connections++
        peer = await connectPeer(server, { authenticate: false, algorithms: { kex: [CURVE] } })
      }
      peer.send(Buffer.concat([Buffer.of(number), body]))
      // Answered, or gone; a PING is answered whatever came before.
      peer.send(packet(Message.PING, 'there?'))
      const answered = await Promise.race([peer.next(Message.PONG), peer.closed]).catch(() => 'closed')
      if (typeof answered === 'string') peer = undefined
    }
  }
  peer?.close()
  expect(connections).toBeGreaterThan(20)
  await expect.poll(() => server.server.connections()).toBe(0)
  expect(faults()).toEqual([])
  expect(misdeeds()).not.toContain('crash')
})

test.each<[string, readonly Buffer[]]>([
  ['before KEXINIT', []],
  ['after KEXINIT', [KEXINIT]],
  ['after KEXINIT of a strict exchange', [STRICT_KEXINIT]],
])('an empty packet %s ends the connection, as it does with sshd', async (_when, before) => {
  await say(...before, frame(Buffer.alloc(0)))
  await expect.poll(reasons).toEqual(['an empty packet'])
  expect(faults()).toEqual([])
})

test.each(['none', 'zlib@openssh.com'] as const)(
  'and after the login, also in a re-key, with compression %s',
  async (compress) => {
    for (const isRekey of [false, true]) {
      server.events.length = 0
      const peer = await connectPeer(server, { algorithms: { compress: [compress], kex: [CURVE] } })
      if (isRekey) peer.rekey()
      peer.sendInExchange(Buffer.alloc(0))
      await peer.closed
      await expect.poll(reasons).toEqual(['an empty packet'])
      expect(faults()).toEqual([])
    }
  },
)

test.each(['aes128-gcm@openssh.com', 'aes128-ctr'] as const)(
  'a padding longer than its packet, with %s',
  async (cipher) => {
    const peer = await connectPeer(server, { authenticate: false, algorithms: { cipher: [cipher], kex: [CURVE] } })
    peer.sendOverpadded(packet(Message.IGNORE, 'x'))
    await peer.closed
    await expect.poll(misdeeds).toEqual(['noauth'])
    expect(faults()).toEqual([])
  },
)

test('and the server goes on', async () => {
  expect((await ssh(server, ['true'])).code).toBe(0)
})
