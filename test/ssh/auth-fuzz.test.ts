/**
 * Authentication requests and user names made of garbage: 320,000 inputs (npm run fuzz). Readers throw MalformedPacket
 * or answer; the whole of UserAuth, fed with them, lets nobody in, throws nothing and leaves nothing open.
 */
import { expect, test } from 'vitest'
import { splitLoginName } from '../../src/base/login-name.ts'
import { parseRoute } from '../../src/container/route.ts'
import type { Dialogue } from '../../src/ssh/auth.ts'
import { readAnswers, readInteractive, readPassword, readPublicKey, readRequest } from '../../src/ssh/auth-requests.ts'
import { fields, MalformedPacket, Message, PacketReader, packet } from '../../src/ssh/packets.ts'
import { parseUserKey } from '../../src/ssh/public-key.ts'
import type { Transport } from '../../src/ssh/transport.ts'
import { UserAuth } from '../../src/ssh/userauth.ts'
import { type Below, inputs, mutated, random } from '../support/fuzz.ts'

const METHODS = ['none', 'publickey', 'password', 'keyboard-interactive', 'hostbased', 'x']
const KEY = fields('ssh-ed25519', Buffer.alloc(32, 7))

/** A request as a client might send it, with right and wrong parts. */
function request(pick: Below): Buffer {
  const method = METHODS[pick(METHODS.length)] ?? ''
  const rest =
    method === 'publickey'
      ? [pick(2) === 0, 'ssh-ed25519', KEY, ...(pick(2) ? [fields('ssh-ed25519', Buffer.alloc(64, 1))] : [])]
      : method === 'password'
        ? [pick(4) === 0, 'x'.repeat(pick(2000)), ...(pick(8) ? [] : ['new'])]
        : ['', ['', 'totp', 'pam,totp', ','][pick(4)] ?? '']
  return packet(Message.USERAUTH_REQUEST, 'dev@web', pick(64) ? 'ssh-connection' : 'x', method, ...rest)
}

test('requests: each reader answers or says that the packet is malformed', () => {
  const pick = random(1)
  let answered = 0
  for (let i = 0; i < inputs(100_000); i++) {
    const sent = request(pick)
    const bytes = pick(4) ? mutated(sent, pick) : sent
    for (const read of [readRequest, readPublicKey, readPassword, readInteractive, readThree]) {
      try {
        const reader = new PacketReader(bytes, Math.min(1, bytes.length))
        if (read !== readRequest) readRequest(reader)
        const answer = read(reader)
        answered++
        if (Buffer.isBuffer(answer) && answer.length > 1024) expect.unreachable('a password that is too long')
      } catch (error) {
        if (!(error instanceof MalformedPacket)) throw error
      }
    }
  }
  expect(answered).toBeGreaterThan(inputs(50_000))
})

const readThree = (reader: PacketReader) => readAnswers(reader, 3)

test('user names: a name claimed can be one, and nothing of the rest is lost', () => {
  const pick = random(2)
  const pieces = [
    'alice',
    'dev',
    'web',
    '=',
    '@',
    '+',
    '%',
    '~',
    '/',
    '',
    ' ',
    '\0',
    '\n',
    '=='.repeat(40),
    'é',
    '\ud800',
    '-',
    '..',
  ]
  for (let i = 0; i < inputs(100_000); i++) {
    const name = Array.from({ length: pick(9) }, () => pieces[pick(pieces.length)]).join('')
    const { claimed, address } = splitLoginName(name)
    parseRoute(name)
    const whole = claimed === undefined ? [address, `=${address}`] : [`${claimed}=${address}`]
    const possible = claimed === undefined || /^[A-Za-z0-9_][A-Za-z0-9_.@-]*$/.test(claimed)
    // Not expect() each time: that alone would take most of a minute.
    if (!whole.includes(name) || !possible) expect.unreachable(JSON.stringify(name))
  }
})

test('packets to the whole of it: nobody is let in, and every exchange that was begun has ended', async () => {
  const pick = random(3)
  const faults: unknown[] = []
  let open = 0
  let begun = 0
  let connections = 0
  let refused = 0

  async function* ask(): Dialogue<string> {
    open++
    begun++
    try {
      for (let i = 0; i < 3; i++) yield { prompts: [{ text: '?', echo: false }] }
      return undefined
    } finally {
      open--
    }
  }

  /** What UserAuth needs of a transport, without a network. */
  function connect() {
    let closed = false
    connections++
    const transport: Pick<
      Transport,
      'send' | 'disconnect' | 'unimplemented' | 'authenticated' | 'sessionId' | 'closed'
    > = {
      get closed() {
        return closed
      },
      sessionId: Buffer.alloc(32, 9),
      send: (bytes) => {
        if (bytes[0] === Message.USERAUTH_FAILURE) refused++
        return true
      },
      disconnect: () => {
        closed = true
      },
      unimplemented: () => {},
      authenticated: () => {
        throw new Error('let in')
      },
    }
    const auth = new UserAuth<string>({
      transport: transport as Transport,
      authenticator: {
        publicKey: async () => 'alice',
        password: async () => undefined,
        keyboardInteractive: ask,
        methods: () => [
          ['publickey'],
          ['password', 'publickey'],
          ['keyboard-interactive'],
          ['keyboard-interactive:totp'],
        ],
      },
      carried: undefined,
      maxAuthTries: 6,
      context: (user) => ({
        connectionId: 'c',
        user,
        remote: { address: '', port: 0 },
        local: { address: '', port: 0 },
        signal: new AbortController().signal,
      }),
      banner: undefined,
      decided: () => {},
      fault: (error) => faults.push(error),
      succeeded: () => faults.push(new Error('let in')),
    })
    auth.packet(Message.SERVICE_REQUEST, packet(Message.SERVICE_REQUEST, 'ssh-userauth'))
    return { auth, isClosed: () => closed }
  }

  /** As a transport does: a packet that cannot be read ends the connection. */
  function feed({ auth, isClosed }: ReturnType<typeof connect>, bytes: Buffer): boolean {
    try {
      auth.packet(bytes[0] ?? 0, bytes)
    } catch (error) {
      if (!(error instanceof MalformedPacket)) throw error
      return true
    }
    return isClosed()
  }

  let connection = connect()
  for (let i = 0; i < inputs(20_000); i++) {
    const answer = packet(Message.USERAUTH_INFO_RESPONSE, 1, 'x'.repeat(pick(3)))
    const sent = pick(3) ? request(pick) : answer
    const over = feed(connection, pick(6) ? sent : mutated(sent, pick))
    if (pick(3) === 0) await new Promise((resolve) => setImmediate(resolve))
    if (!over && pick(200)) continue
    connection.auth.end()
    connection = connect()
  }
  connection.auth.end()
  // What still waits for its least time to be refused.
  await new Promise((resolve) => setTimeout(resolve, 500))
  expect(faults).toEqual([])
  expect(open).toBe(0)
  expect(begun).toBeGreaterThan(inputs(100))
  expect(connections).toBeGreaterThan(inputs(100))
  expect(refused).toBeGreaterThan(inputs(100))
})

test('keys: an algorithm and a blob that do not fit are none', () => {
  const pick = random(4)
  for (let i = 0; i < inputs(100_000); i++) {
    const blob = mutated(KEY, pick)
    const key = parseUserKey(['ssh-ed25519', 'ssh-ed25519-cert-v01@openssh.com', 'rsa-sha2-256'][pick(3)] ?? '', blob)
    if (key && blob.length !== KEY.length) expect.unreachable(blob.toString('hex'))
  }
})
