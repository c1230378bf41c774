/** The transport: what is offered, rekeying, compression, messages nobody knows, and peers that talk nonsense. */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { createSshServer } from '../../src/ssh/server.ts'
import { nativeCryptoAvailable } from '../../src/ssh/ssh2.ts'
import { connectPeer, fields, HIDE_CHANNELS, Message, openSession, type Peer, packet } from './peer.ts'
import { CIPHERS, LIMITS, program, run, ssh, startServer, type TestServer } from './support.ts'

let server: TestServer
let peer: Peer | undefined

afterEach(async () => {
  peer?.close()
  await server?.close()
})

/** Half a second of CPU less for every exchange of the client; the post-quantum ones have their own tests. */
const QUICK_KEX = ['-o', 'KexAlgorithms=curve25519-sha256']

const ok = program(async () => ({ code: 0 }))

async function verbose(...first: string[]): Promise<string> {
  server = await startServer({ session: ok })
  const result = await ssh(server, ['true'], { first: ['-vv', '-o', 'LogLevel=DEBUG2', ...first] })
  return result.stderr.toString()
}

/** What the client says the server proposes, by its own headings. */
function proposals(log: string): Record<string, string[]> {
  const peerPart = log.slice(log.indexOf('peer server KEXINIT proposal'))
  const lines = [...peerPart.matchAll(/debug2: ([a-zA-Z ]+): ([^\r\n]*)/g)]
  return Object.fromEntries(lines.reverse().map(([, name = '', list = '']) => [name, list.split(',')]))
}

test('offers no SHA-1, no CBC, no group exchange, no compression before the login, and strict key exchange', async () => {
  const offered = proposals(await verbose())
  const all = Object.values(offered).flat()
  expect(all.filter((name) => /sha1|cbc|group-exchange|arcfour|md5|^ssh-rsa|dss/.test(name))).toEqual([])
  expect(offered['compression ctos']).toEqual(['none', 'zlib@openssh.com'])
  expect(offered['KEX algorithms']).toContain('kex-strict-s-v00@openssh.com')
  expect(offered['KEX algorithms']?.[0]).toBe('mlkem768x25519-sha256')
  expect(offered['ciphers stoc']?.[0]).toBe('aes128-gcm@openssh.com')
})

test('B9: server-sig-algs are right (stock: two names run into each other)', async () => {
  const log = await verbose()
  const [, list = ''] = /server-sig-algs=<([^>]*)>/.exec(log) ?? []
  expect(list.split(',')).toEqual([
    'ssh-ed25519',
    'sk-ssh-ed25519@openssh.com',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'sk-ecdsa-sha2-nistp256@openssh.com',
    'rsa-sha2-512',
    'rsa-sha2-256',
  ])
})

test('advertises ping@openssh.com and answers pings', async () => {
  server = await startServer()
  peer = await connectPeer(server)
  peer.send(packet(Message.PING, Buffer.from('are you there')))
  expect((await peer.next(Message.PONG)).reader.text()).toBe('are you there')
})

test('an unknown message gets UNIMPLEMENTED with its number (stock: silence)', async () => {
  server = await startServer()
  peer = await connectPeer(server)
  peer.send(packet(150))
  peer.send(packet(151))
  const [first, second] = [await peer.next(Message.UNIMPLEMENTED), await peer.next(Message.UNIMPLEMENTED)]
  expect(second.reader.u32() - first.reader.u32()).toBe(1)
})

test.each(['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'aes128-ctr', 'chacha20-poly1305@openssh.com'])(
  'cipher %s carries 3 MB both ways, with rekeying by bytes under load',
  async (cipher) => {
    server = await startServer({
      ciphers: [...CIPHERS, 'chacha20-poly1305@openssh.com'],
      limits: { rekeyLimit: { bytes: 512 * 1024, milliseconds: 0 } },
    })
    const input = randomBytes(3_000_000)
    const result = await ssh(server, ['cat'], { input, first: ['-c', cipher, ...QUICK_KEX, '-o', 'LogLevel=DEBUG1'] })
    expect(result.code).toBe(0)
    expect(result.stdout.equals(input)).toBe(true)
    const rekeys = result.stderr.toString().match(/SSH2_MSG_NEWKEYS received/g) ?? []
    expect(rekeys.length).toBeGreaterThan(3)
  },
)

test('rekeys by time', async () => {
  server = await startServer({
    session: (session) => session.accept(),
    limits: { rekeyLimit: { bytes: 0, milliseconds: 150 } },
  })
  peer = await connectPeer(server)
  let handshakes = 0
  peer.client.on('handshake', () => handshakes++)
  await expect.poll(() => handshakes, { timeout: 5000 }).toBeGreaterThanOrEqual(3)
})

test('the client may rekey as often as it likes under load', async () => {
  server = await startServer()
  const input = randomBytes(3_000_000)
  const result = await ssh(server, ['cat'], { input, first: ['-o', 'RekeyLimit=512K', ...QUICK_KEX] })
  expect(result.stdout.equals(input)).toBe(true)
  expect(result.code).toBe(0)
})

test.each(['16', '1K'])(
  'OpenSSH with RekeyLimit=%s, a key exchange for nearly every packet, gets its bytes',
  async (limit) => {
    server = await startServer()
    const input = randomBytes(2_000_000)
    const first = ['-o', `RekeyLimit=${limit}`, ...QUICK_KEX, '-o', 'LogLevel=DEBUG1']
    const result = await ssh(server, ['cat'], { input, first, limit: 90_000 })
    expect([result.code, result.stdout.equals(input)]).toEqual([0, true])
    expect((result.stderr.toString().match(/SSH2_MSG_NEWKEYS received/g) ?? []).length).toBeGreaterThan(60)
  },
  100_000,
)

test.each([
  ['the client', {}],
  ['the server', { rekeyLimit: { bytes: 0, milliseconds: 100 } }],
])('IGNORE before every packet of a re-key that %s begins, in strict key exchange: asyncssh', async (_who, limits) => {
  server = await startServer({ limits })
  const connected = await connectPeer(server)
  peer = connected
  connected.chatter()
  let handshakes = 0
  connected.client.on('handshake', () => handshakes++)
  if (!('rekeyLimit' in limits)) connected.rekey()
  await expect.poll(() => handshakes, { timeout: 5000 }).toBeGreaterThanOrEqual(1)
  connected.send(packet(Message.PING, 'still there'))
  expect((await connected.next(Message.PONG)).reader.text()).toBe('still there')
})

test('data behind the KEXINIT of a re-key is taken, as sshd takes it', async () => {
  server = await startServer()
  const connected = await connectPeer(server, { hide: HIDE_CHANNELS })
  peer = connected
  const session = await openSession(connected)
  session.request('exec', true, fields('cat'))
  await connected.next(Message.CHANNEL_SUCCESS)
  connected.rekey()
  connected.sendInExchange(packet(Message.CHANNEL_DATA, session.id, 'in between'))
  const { reader } = await connected.next(Message.CHANNEL_DATA)
  expect([reader.u32(), reader.text()]).toEqual([7, 'in between'])
})

const PYTHON = '/usr/bin/python3'
const ASYNCSSH = (await run(PYTHON, ['-c', 'import asyncssh'])).code === 0 ? '' : 'python3-asyncssh is not installed'

test.skipIf(ASYNCSSH)(`asyncssh itself keeps its connection through its re-keys ${ASYNCSSH}`, async () => {
  server = await startServer()
  const script = `
import asyncio, asyncssh, os, sys
async def main():
    options = dict(username='dev@web', known_hosts=None, config=None, agent_path=None, client_keys=[sys.argv[2]])
    async with asyncssh.connect('127.0.0.1', int(sys.argv[1]), rekey_bytes=500000, **options) as connection:
        data = os.urandom(3000000)
        result = await connection.run('cat', input=data, encoding=None)
        print(result.stdout == data)
asyncio.run(main())
`
  const { stdout, stderr } = await run(PYTHON, [
    '-W',
    'ignore',
    '-c',
    script,
    String(server.port),
    server.privateKeyFile,
  ])
  expect([stdout.toString(), stderr.toString()]).toEqual(['True\n', ''])
})

test('a key exchange that a client asks for before the login ends the connection', async () => {
  server = await startServer()
  peer = await connectPeer(server, { authenticate: false })
  peer.rekey()
  const { reader } = await peer.next(Message.DISCONNECT)
  expect([reader.u32(), reader.text()]).toEqual([2, 'key exchange before the login'])
  await peer.closed
})

test('the MACs of AES-CTR work, all four', async () => {
  server = await startServer()
  const input = randomBytes(100_000)
  for (const mac of [
    'hmac-sha2-256-etm@openssh.com',
    'hmac-sha2-512-etm@openssh.com',
    'hmac-sha2-256',
    'hmac-sha2-512',
  ]) {
    const result = await ssh(server, ['cat'], { input, first: ['-c', 'aes256-ctr', '-m', mac] })
    expect([mac, result.code, result.stdout.equals(input)]).toEqual([mac, 0, true])
  }
})

test('compression works after the login, also across a rekey', async () => {
  server = await startServer()
  const input = Buffer.alloc(4_000_000, 'compress me ')
  const result = await ssh(server, ['cat'], { input, first: ['-C', '-o', 'RekeyLimit=1M', ...QUICK_KEX] })
  expect(result.stdout.equals(input)).toBe(true)
  expect(result.code).toBe(0)
})

test('a zip bomb ends its connection', async () => {
  server = await startServer()
  const connected = await connectPeer(server, { algorithms: { compress: ['zlib@openssh.com'] } })
  // 30 MB of zeros are 30 kB compressed: below the packet limit.
  connected.client.exec('cat', () => connected.send(packet(Message.CHANNEL_DATA, 0, Buffer.alloc(30_000_000))))
  peer = connected
  await peer.closed
  expect(server.events).toContainEqual(expect.objectContaining({ type: 'disconnect', authenticated: true }))
})

test.each([
  ['a web browser', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['random bytes', randomBytes(10_000)],
  ['an endless line', Buffer.alloc(100_000, 'a')],
  ['SSH 1', 'SSH-1.5-old\r\n'],
  ['an identification and then garbage', Buffer.concat([Buffer.from('SSH-2.0-x\r\n'), Buffer.alloc(5000, 0xff)])],
  ['a packet of zero length', Buffer.concat([Buffer.from('SSH-2.0-x\r\n'), Buffer.alloc(64)])],
  ['nothing at all', ''],
])('B8: %s instead of SSH is hung up on, and others are served', async (_name, bytes) => {
  server = await startServer({ session: ok })
  const socket = connect(server.port, '127.0.0.1')
  socket.on('error', () => {})
  socket.resume()
  socket.end(bytes)
  await once(socket, 'close')
  await expect.poll(() => server.server.connections()).toBe(0)
  expect((await ssh(server, ['true'])).code).toBe(0)
})

test('B8: a peer whose packets are cut short is disconnected', async () => {
  server = await startServer({ session: ok })
  for (const broken of [Message.GLOBAL_REQUEST, Message.CHANNEL_OPEN, Message.CHANNEL_DATA, Message.CHANNEL_REQUEST]) {
    peer = await connectPeer(server, { hide: HIDE_CHANNELS })
    await openSession(peer)
    peer.send(Buffer.of(broken, 0, 0))
    expect((await peer.next(Message.DISCONNECT)).reader.u32()).toBe(2)
    await peer.closed
  }
  expect((await ssh(server, ['true'])).code).toBe(0)
})

test.each([
  ['global', [packet(Message.GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', 9)], Message.GLOBAL_REQUEST],
  ['global, a proof', [packet(Message.GLOBAL_REQUEST, 'tcpip-forward', true, 'localhost', 9)], 'proof'],
  ['channel', [['pty-req', fields('xterm', 80, 24, 0, 0, '')]], 'env'],
  ['channel, behind a program that starts late', [['shell', Buffer.alloc(0)]], 'window-change'],
] as const)('B8: a request cut short behind one still being answered: %s', async (_kind, first, broken) => {
  const rejections: unknown[] = []
  const onRejection = (error: unknown) => rejections.push(error)
  process.on('unhandledRejection', onRejection)
  const later = <T>(value: T) => new Promise<T>((resolve) => setTimeout(() => resolve(value), 50))
  server = await startServer({
    session: async (session) => {
      await later(undefined)
      session.accept()
    },
    handlers: () => ({ allow: () => later(true), forward: () => later(9) }),
  })
  try {
    peer = await connectPeer(server, { hide: HIDE_CHANNELS })
    const channel = await openSession(peer)
    for (const one of first) {
      if (Buffer.isBuffer(one)) peer.send(one)
      else channel.request(one[0], true, one[1])
    }
    if (broken === Message.GLOBAL_REQUEST) peer.send(packet(broken, 'tcpip-forward', true, { raw: Buffer.of(0, 0) }))
    else if (broken === 'proof')
      peer.send(packet(Message.GLOBAL_REQUEST, 'hostkeys-prove-00@openssh.com', true, { raw: Buffer.of(0, 0) }))
    else channel.request(broken, true, Buffer.of(0, 0))
    expect((await peer.next(Message.DISCONNECT)).reader.u32()).toBe(2)
    await peer.closed
    // A fault is a log line about us; this one is the client's.
    expect(server.events.filter(({ type }) => type === 'fault')).toEqual([])
    await later(undefined)
    expect(rejections).toEqual([])
  } finally {
    process.off('unhandledRejection', onRejection)
  }
})

test('messages for channels that do not exist are ignored', async () => {
  server = await startServer({ session: ok })
  peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  for (let type = Message.CHANNEL_WINDOW_ADJUST; type <= Message.CHANNEL_FAILURE; type++)
    peer.send(packet(type, 77, 0, 0))
  await openSession(peer)
})

test('a connection reset in the middle of a download is no error of the server', async () => {
  server = await startServer({
    session: program(async (session, write) => {
      const chunk = Buffer.alloc(32 * 1024)
      while (!session.closed.aborted) await write(1, chunk)
      return { code: 0 }
    }),
  })
  peer = await connectPeer(server)
  peer.client.exec('zeros', (_error, channel) => channel.on('data', () => {}))
  await expect.poll(() => server.connections.length).toBe(1)
  await new Promise((resolve) => setTimeout(resolve, 300))
  ;(peer.client as unknown as { _sock: { resetAndDestroy(): void } })._sock.resetAndDestroy()
  await expect.poll(() => server.server.connections()).toBe(0)
})

test('a global request nobody knows: FAILURE when asked, silence when not, in order', async () => {
  server = await startServer()
  peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  peer.send(packet(Message.GLOBAL_REQUEST, 'no-such@request', false))
  peer.send(packet(Message.GLOBAL_REQUEST, 'keepalive@openssh.com', true))
  peer.send(packet(Message.GLOBAL_REQUEST, 'no-more-sessions@openssh.com', true))
  expect((await peer.next(81, 82)).type).toBe(Message.REQUEST_FAILURE)
  expect((await peer.next(81, 82)).type).toBe(Message.REQUEST_SUCCESS)
})

// ssh2 1.17's cannot be compiled for node 26, as `hatchway doctor` says.
test.skipIf(Number.parseInt(process.versions.node, 10) >= 26)('ssh2’s native crypto is built here', () => {
  expect(nativeCryptoAvailable()).toBe(true)
})

test('refuses to start with a cipher it does not have, or without a host key', async () => {
  const options = {
    limits: () => LIMITS,
    authenticator: { publicKey: async () => undefined },
    connection: () => ({ allow: () => false, session: () => {} }),
    observe: () => {},
  }
  server = await startServer()
  const hostKeys = [{ file: 'host', bytes: server.privateKey }]
  expect(() => createSshServer({ ...options, hostKeys, ciphers: ['aes128-cbc'] })).toThrow('aes128-cbc')
  expect(() => createSshServer({ ...options, hostKeys: [], ciphers: CIPHERS })).toThrow('no host key')
  expect(() =>
    createSshServer({ ...options, hostKeys: [{ file: 'x', bytes: Buffer.from('x') }], ciphers: CIPHERS }),
  ).toThrow('host key x')
})
