/** User authentication: which keys and methods get in, and what the others are told. */
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import type { Field } from '../../src/ssh/packets.ts'
import { connectPeer, fields, Message, type Peer, packet } from './peer.ts'
import { program, publicBlob, run, ssh, startServer, type TestServer } from './support.ts'

let server: TestServer
let peer: Peer | undefined

afterEach(async () => {
  peer?.close()
  await server?.close()
})

const ok = program(async () => ({ code: 0 }))

/** A peer that is connected, but has not yet tried to get in. */
async function stranger(options: Parameters<typeof startServer>[0] = {}): Promise<Peer> {
  server = await startServer(options)
  peer = await connectPeer(server, { authenticate: false, hide: [51, 52, 60] })
  return peer
}

function request(method: string, ...rest: Field[]): Buffer {
  return packet(Message.USERAUTH_REQUEST, 'dev@web', 'ssh-connection', method, { raw: fields(...rest) })
}

async function answer(to: Buffer): Promise<string> {
  peer?.send(to)
  const reply = await peer?.next(Message.USERAUTH_FAILURE, Message.USERAUTH_SUCCESS, Message.USERAUTH_PK_OK)
  if (reply?.type !== Message.USERAUTH_FAILURE) return String(reply?.type)
  return `${reply.reader.text()} ${reply.reader.bool()}`
}

describe('keys of the real client', () => {
  const kinds: [string, string[]][] = [
    ['ed25519', ['-t', 'ed25519']],
    ['ecdsa 256', ['-t', 'ecdsa', '-b', '256']],
    ['ecdsa 384', ['-t', 'ecdsa', '-b', '384']],
    ['ecdsa 521', ['-t', 'ecdsa', '-b', '521']],
    ['rsa 2048', ['-t', 'rsa', '-b', '2048']],
  ]

  test.each(kinds)('%s gets in', async (_name, options) => {
    server = await startServer({ session: ok, publicKey: async () => 'anyone' })
    const key = server.folder.key('other', ...options)
    const result = await ssh(server, ['true'], { first: ['-i', key] })
    expect(result.stderr.toString()).toBe('')
    expect(result.code).toBe(0)
  })

  test.each(kinds)('a certificate of %s gets in when the authenticator believes it', async (_name, options) => {
    const algorithms: string[] = []
    server = await startServer({
      session: ok,
      publicKey: async (algorithm) => {
        algorithms.push(algorithm)
        return algorithm.includes('-cert-') ? 'anyone' : undefined
      },
    })
    const ca = server.folder.key('ca')
    const key = server.folder.key('other', ...options)
    execFileSync('ssh-keygen', ['-q', '-s', ca, '-I', 'id', '-n', 'dev', `${key}.pub`])
    const result = await ssh(server, ['true'], { first: ['-i', key] })
    expect(result.code).toBe(0)
    expect(algorithms.at(-1)).toMatch(/-cert-v01@openssh\.com$/)
  })

  test('the right key gets in after a wrong one, and the identity is that of the right one', async () => {
    server = await startServer({ session: ok })
    const wrong = server.folder.key('wrong')
    const result = await ssh(server, ['true'], { first: ['-i', wrong] })
    expect(result.code).toBe(0)
    expect(server.connections[0]?.identity).toBe('tester')
    expect(server.connections[0]?.user).toBe('dev@web')
    expect(server.connections[0]?.clientVersion).toMatch(/^OpenSSH_/)
    const accepted = server.events.flatMap((event) => (event.type === 'auth' ? [event.accepted] : []))
    expect(accepted).toEqual([false, true])
  })

  test('a wrong key is told no more than that public keys are asked for', async () => {
    server = await startServer({ session: ok, publicKey: async () => undefined })
    const result = await ssh(server, ['true'])
    expect(result.code).toBe(255)
    expect(result.stderr.toString()).toContain('Permission denied (publickey).')
  })
})

test('a key that is accepted, with a signature that is not its own, stays outside', async () => {
  await stranger({ publicKey: async () => 'anyone' })
  const key = publicBlob(server.folder.key('other'))
  const signature = fields('ssh-ed25519', Buffer.alloc(64, 1))
  expect(await answer(request('publickey', false, 'ssh-ed25519', key))).toBe(String(Message.USERAUTH_PK_OK))
  expect(await answer(request('publickey', true, 'ssh-ed25519', key, signature))).toBe('publickey false')
})

test('no SHA-1: ssh-rsa is refused though the authenticator would take the key', async () => {
  await stranger({ publicKey: async () => 'anyone' })
  const key = publicBlob(server.folder.key('other', '-t', 'rsa', '-b', '2048'))
  expect(await answer(request('publickey', false, 'ssh-rsa', key))).toBe('publickey false')
  expect(await answer(request('publickey', false, 'rsa-sha2-256', key))).toBe(String(Message.USERAUTH_PK_OK))
})

// OpenSSH 10.5's: the composite of ML-DSA and Ed25519, its certificate, and what a browser makes with a FIDO key.
test.each([
  ['ssh-mldsa44-ed25519@openssh.com', fields('ssh-mldsa44-ed25519@openssh.com', Buffer.alloc(1312 + 32, 7))],
  ['ssh-mldsa44-ed25519-cert-v01@openssh.com', fields('ssh-mldsa44-ed25519-cert-v01@openssh.com', Buffer.alloc(32))],
  [
    'webauthn-sk-ecdsa-sha2-nistp256@openssh.com',
    fields('sk-ecdsa-sha2-nistp256@openssh.com', 'nistp256', Buffer.alloc(65, 4), 'ssh:'),
  ],
  ['ssh-something-new', fields('ssh-something-new', Buffer.alloc(5000))],
])(
  'a key of a kind that we do not take, %s, is one that is not accepted, and the next one may be',
  async (kind, key) => {
    await stranger({ publicKey: async () => 'anyone' })
    expect(await answer(request('publickey', false, kind, key))).toBe('publickey false')
    expect(await answer(request('publickey', true, kind, key, fields(kind, Buffer.alloc(2484))))).toBe(
      'publickey false',
    )
    const known = publicBlob(server.folder.key('other'))
    expect(await answer(request('publickey', false, 'ssh-ed25519', known))).toBe(String(Message.USERAUTH_PK_OK))
    expect(server.events.filter(({ type }) => type === 'fault')).toEqual([])
  },
)

test('an RSA key of 1024 bits is refused though the authenticator would take it', async () => {
  await stranger({ publicKey: async () => 'anyone' })
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const { n = '', e = '' } = publicKey.export({ format: 'jwk' })
  const key = fields('ssh-rsa', Buffer.from(e, 'base64url'), Buffer.concat([Buffer.of(0), Buffer.from(n, 'base64url')]))
  expect(await answer(request('publickey', false, 'rsa-sha2-512', key))).toBe('publickey false')
})

test.each([
  ['password', request('password', false, 'secret')],
  ['keyboard-interactive', request('keyboard-interactive', '', '')],
  ['hostbased', request('hostbased', 'ssh-ed25519', Buffer.alloc(4))],
  ['publickey-hostbound-v00@openssh.com', request('publickey-hostbound-v00@openssh.com', true)],
  ['no-such-method', request('no-such-method')],
])('method %s gets USERAUTH_FAILURE (stock: unknown ones end the connection)', async (_name, message) => {
  await stranger()
  expect(await answer(message)).toBe('publickey false')
  expect(await answer(request('none'))).toBe('publickey false')
})

test('an unknown user and an unknown key get the same answer', async () => {
  await stranger()
  const key = publicBlob(server.folder.key('other'))
  const first = await answer(request('publickey', false, 'ssh-ed25519', key))
  peer?.close()
  peer = await connectPeer(server, { authenticate: false, hide: [51, 52, 60] })
  const other = packet(Message.USERAUTH_REQUEST, 'nobody@nowhere', 'ssh-connection', 'publickey', {
    raw: fields(false, 'ssh-ed25519', key),
  })
  expect(await answer(other)).toBe(first)
})

test('requests sent ahead are answered in the order sent', async () => {
  let first = true
  await stranger({
    publicKey: async () => {
      const wait = first ? 150 : 0
      const verdict = first ? 'anyone' : undefined
      first = false
      await new Promise((resolve) => setTimeout(resolve, wait))
      return verdict
    },
  })
  const key = publicBlob(server.folder.key('other'))
  const query = request('publickey', false, 'ssh-ed25519', key)
  peer?.send(query)
  expect(await answer(query)).toBe(String(Message.USERAUTH_PK_OK))
  expect((await peer?.next(51, 60))?.type).toBe(Message.USERAUTH_FAILURE)
})

test('a change of the user name ends the connection', async () => {
  await stranger()
  await answer(request('none'))
  peer?.send(packet(Message.USERAUTH_REQUEST, 'root@web', 'ssh-connection', 'none'))
  expect((await peer?.next(Message.DISCONNECT))?.reader.u32()).toBe(2)
})

test('the connection protocol before authentication ends the connection', async () => {
  let sessions = 0
  await stranger({ session: () => void sessions++ })
  peer?.send(packet(Message.CHANNEL_OPEN, 'session', 0, 1000, 1000))
  await peer?.next(Message.DISCONNECT)
  expect(sessions).toBe(0)
})

test('an authenticator that throws ends the login, tells the log, and tells the client nothing', async () => {
  const error = new Error('database is down')
  server = await startServer({ session: ok, publicKey: () => Promise.reject(error) })
  const result = await ssh(server, ['true'])
  expect(result.code).toBe(255)
  expect(result.stderr.toString()).not.toContain('database')
  expect(server.events).toContainEqual(expect.objectContaining({ type: 'fault', error }))
})

test('a connection that will be ended ended for that, also if its client is faster', async () => {
  server = await startServer({ session: ok })
  peer = await connectPeer(server)
  server.connections[0]?.leaving('ended by the administrator')
  peer.send(packet(Message.DISCONNECT, 11, 'disconnected by user', ''))
  const reasons = () => server.events.flatMap((event) => (event.type === 'disconnect' ? [event.reason] : []))
  await expect.poll(reasons).toEqual(['ended by the administrator'])
})

describe('MaxAuthTries', () => {
  const refused = () => server.events.filter((event) => event.type === 'auth' && !event.accepted).length
  const reason = async () => {
    const { reader } = (await peer?.next(Message.DISCONNECT)) ?? {}
    return [reader?.u32(), reader?.text()]
  }

  test('the sixth signature of a key that is not let in ends the connection, with a sentence', async () => {
    await stranger({ publicKey: async () => undefined })
    const blob = publicBlob(server.folder.key('other'))
    const signed = request('publickey', true, 'ssh-ed25519', blob, fields('ssh-ed25519', Buffer.alloc(64)))
    for (let i = 1; i < 6; i++) expect(await answer(signed)).toBe('publickey false')
    peer?.send(signed)
    expect(await reason()).toEqual([2, 'Too many authentication failures'])
    expect(refused()).toBe(6)
  })

  test('asking about a key is no try: the eleventh of an agent gets in', async () => {
    server = await startServer({ session: ok })
    const keys = Array.from({ length: 10 }, (_, i) => ['-i', server.folder.key(`k${i}`)]).flat()
    const result = await ssh(server, ['true'], { first: keys })
    expect([result.code, result.stderr.toString(), refused()]).toEqual([0, '', 10])
  })

  test('asking again about a key that was refused asks nobody, and lets in no more', async () => {
    let asked = 0
    await stranger({
      publicKey: async () => {
        asked++
        return undefined
      },
    })
    const query = (key: string) => request('publickey', false, 'ssh-ed25519', publicBlob(server.folder.key(key)))
    const again = query('one')
    for (let i = 0; i < 5; i++) expect(await answer(again)).toBe('publickey false')
    expect(asked).toBe(1)
    expect(await answer(query('two'))).toBe('publickey false')
    expect(asked).toBe(2)
  })

  test('nobody asks for ever, and reads how many keys were tried and what helps', async () => {
    await stranger({ publicKey: async () => undefined })
    const query = request('publickey', false, 'ssh-ed25519', publicBlob(server.folder.key('other')))
    for (let i = 1; i < 64; i++) expect(await answer(query)).toBe('publickey false')
    peer?.send(query)
    expect(await reason()).toEqual([
      2,
      'Too many authentication failures: 64 keys were tried, and none of them lets you in; with IdentitiesOnly=yes and -i ssh tries one key alone',
    ])
  })
})

test('a banner is shown before the login', async () => {
  server = await startServer({ session: ok, banner: 'Welcome to the tests.\n' })
  const result = await ssh(server, ['true'], { first: ['-o', 'LogLevel=INFO'] })
  expect(result.stderr.toString()).toContain('Welcome to the tests.')
})

test('ssh-keyscan sees every host key', async () => {
  server = await startServer()
  const result = await run('ssh-keyscan', ['-p', String(server.port), '127.0.0.1'])
  expect(result.stdout.toString()).toContain('ssh-ed25519')
})
