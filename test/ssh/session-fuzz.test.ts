/**
 * What a client may send after its login, made of garbage: 200,000 packets (npm run fuzz). Packets that cannot be read end the
 * connection, nothing else throws, and when the connection has ended nothing of the identity's budget is left taken.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { onAbort } from '../../src/lifetime/on-abort.ts'
import { Budgets } from '../../src/ssh/budget.ts'
import { ConnectionLayer } from '../../src/ssh/connection-layer.ts'
import { MalformedPacket, Message, packet } from '../../src/ssh/packets.ts'
import type { SshSession } from '../../src/ssh/session.ts'
import type { Transport } from '../../src/ssh/transport.ts'
import { FakeEnd } from '../support/fake-end.ts'
import { type Below, FUZZ_LIMIT_MS, inputs, mutated, pick, random } from '../support/fuzz.ts'

const TYPES = ['session', 'direct-tcpip', 'direct-streamlocal@openssh.com', 'x11', 'forwarded-tcpip', '']
const GLOBAL = [
  'tcpip-forward',
  'cancel-tcpip-forward',
  'streamlocal-forward@openssh.com',
  'hostkeys-prove-00@openssh.com',
  'keepalive@openssh.com',
  'no-more-sessions@openssh.com',
]
const STARTS = ['shell', 'exec', 'subsystem']
const REQUESTS = [
  'pty-req',
  'env',
  'x11-req',
  'auth-agent-req@openssh.com',
  'window-change',
  'signal',
  'break',
  'eow@openssh.com',
]

/** A packet as a client might send it. The numbers of channels are small, so that many of them are of some channel. */
function sent(below: Below): Buffer {
  const channel = below(4)
  const data = Buffer.alloc(below(8) === 0 ? 70_000 : below(300), 'x')
  switch (below(10)) {
    case 0: {
      const type = pick(TYPES, below)
      const target = type.includes('streamlocal') ? ['/run/x', '', 0] : ['host', below(70_000), '127.0.0.1', 1]
      return packet(Message.CHANNEL_OPEN, type, channel, below(3) * 0x7fffffff, below(2) * 32_768, ...target)
    }
    case 1:
      return packet(Message.GLOBAL_REQUEST, pick(GLOBAL, below), below(2) === 0, 'localhost', below(2) * 8080)
    case 2:
      return packet(Message.CHANNEL_WINDOW_ADJUST, channel, below(2) ? 1000 : 0xffffffff)
    case 3:
    case 4:
      return packet(Message.CHANNEL_DATA, channel, data)
    case 5:
      return packet(Message.CHANNEL_EXTENDED_DATA, channel, below(3), data)
    case 6:
      return packet(below(2) ? Message.CHANNEL_EOF : Message.CHANNEL_CLOSE, channel)
    case 7:
      return packet(Message.CHANNEL_REQUEST, channel, pick(STARTS, below), below(2) === 0, 'sftp')
    case 8: {
      const type = pick(REQUESTS, below)
      const fields =
        type === 'pty-req' ? ['xterm', 80, 24, 0, 0, '\0'] : type === 'env' ? ['LANG', 'C'] : [80, 24, 0, 0]
      return packet(Message.CHANNEL_REQUEST, channel, type, below(2) === 0, ...fields)
    }
    default:
      return packet(below(256), channel, data.subarray(0, 20))
  }
}

/** Connections of one identity, without a network. */
function world(below: Below) {
  const faults: unknown[] = []
  const budgets = new Budgets()
  const counts = { sessions: 0, dials: 0, malformed: 0, data: 0 }

  /** A session's program that echoes, ends at some time, or reads nothing. */
  function serve(session: SshSession): void {
    counts.sessions++
    const kind = below(4)
    if (kind === 0) {
      session.reject()
      return
    }
    session.accept()
    // As every session does in the end: what waits to be read is held until then, as a program may still read it.
    onAbort(session.closed, () => session.stdin.destroy())
    session.listen({ signal: () => true, break: () => false })
    if (kind === 1) session.pour({ write: (chunk) => session.write(1, chunk), end: () => {} })
    if (kind === 2) session.exit({ code: 0 }).catch((error: unknown) => faults.push(error))
  }

  function connect() {
    const closed = new AbortController()
    const transport = {
      closed: false,
      clientVersion: 'OpenSSH_9.2',
      writable: true,
      exchanging: false,
      whenWritable: () => {},
      send: () => {},
      sendData: (_recipient: number, _fd: number, length: number, fill: (target: Buffer, at: number) => void) => {
        counts.data += length
        fill(Buffer.alloc(length), 0)
      },
      unimplemented: () => {},
      broken: (error: unknown) => {
        if (!(error instanceof MalformedPacket)) faults.push(error)
        transport.closed = true
      },
      disconnect: () => {
        transport.closed = true
      },
    }
    const { budget, leave } = budgets.enter('alice')
    const layer = new ConnectionLayer(
      {
        transport: transport as unknown as Transport,
        hostKeys: { byAlgorithm: {}, keys: [] },
        budget,
        maxSessions: 3,
        channelTimeout: [],
        unusedConnectionTimeout: 0,
        expired: () => {},
        fault: (error) => faults.push(error),
      },
      closed.signal,
    )
    layer.use({
      allow: () => below(4) > 0,
      session: serve,
      direct: async () => {
        counts.dials++
        if (below(3) === 0) return { reason: 'connect-failed', message: 'no' }
        return new FakeEnd()
      },
      forward: async () => (below(2) ? 8080 : undefined),
      cancelForward: async () => below(2) === 0,
    })
    return {
      /** As a transport does: a packet that cannot be read ends the connection. Returns whether it is over. */
      feed(bytes: Buffer): boolean {
        try {
          layer.packet(bytes[0] ?? 0, bytes)
        } catch (error) {
          if (!(error instanceof MalformedPacket)) throw error
          counts.malformed++
          return true
        }
        return transport.closed
      },
      end() {
        transport.closed = true
        closed.abort()
        layer.end()
        leave()
      },
    }
  }

  return { faults, budgets, counts, connect }
}

/** What dials and answers to requests still wait for when a connection has ended. */
async function settled(): Promise<void> {
  for (let i = 0; i < 10; i++) await turn()
}

test(
  'nothing throws but what says that a packet is malformed, and nothing is left taken',
  async () => {
    const below = random(20_261_201)
    const { faults, budgets, counts, connect } = world(below)
    let connection = connect()
    for (let i = 0; i < inputs(200_000); i++) {
      const bytes = sent(below)
      const isOver = connection.feed(below(5) ? bytes : mutated(bytes, below))
      if (below(4) === 0) await turn()
      if (!isOver && below(300)) continue
      connection.end()
      connection = connect()
    }
    connection.end()
    await settled()
    expect(faults).toEqual([])
    expect(budgets.size).toBe(0)
    expect(counts.sessions).toBeGreaterThan(inputs(500))
    expect(counts.dials).toBeGreaterThan(inputs(500))
    expect(counts.malformed).toBeGreaterThan(inputs(500))
    expect(counts.data).toBeGreaterThan(inputs(10_000))
  },
  FUZZ_LIMIT_MS,
)

test('a dial behind a request that cannot be read, or is never answered, gives back what it took', async () => {
  const { budgets, connect } = world(random(1))
  const dial = packet(Message.CHANNEL_OPEN, 'direct-tcpip', 0, 0, 0, 'host', 80, '127.0.0.1', 1)
  const ask = (port: readonly number[]) => packet(Message.GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', ...port)
  const connection = connect()
  // The first is being answered while the next two wait.
  expect(connection.feed(ask([8080]))).toBe(false)
  expect(connection.feed(ask([]))).toBe(false)
  expect(connection.feed(dial)).toBe(false)
  await settled()
  connection.end()
  await settled()
  expect(budgets.size).toBe(0)
})
