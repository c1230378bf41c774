/** A host named as to a proxy, before SSH: what is taken, what is refused, and that nobody waits who need not. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { parseAuthority } from '../../../src/ssh/preamble/host-name.ts'
import { createApproach } from '../../../src/ssh/preamble/preamble.ts'
import { protocolOf } from '../../../src/ssh/preamble/read-prefix.ts'
import { until } from '../../support/wait.ts'
import { program, run, ssh, startServer, type TestServer } from '../support.ts'

let server: TestServer
const sockets: Socket[] = []

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await server?.close()
})

async function start(): Promise<void> {
  server = await startServer({
    approach: createApproach({ proxies: () => [] }),
    session: program(async () => ({ code: 0 })),
  })
}

/** Everything that was answered until `enough` of it came, or the end. */
async function answer(request: string | Buffer, enough = /SSH-2\.0-/, byByte = false): Promise<string> {
  const socket = connect(server.port, '127.0.0.1')
  sockets.push(socket)
  socket.on('error', () => {})
  let text = ''
  const done = new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (enough.test(text)) resolve()
    })
    socket.once('close', () => resolve())
  })
  await once(socket, 'connect')
  for (const part of byByte ? Buffer.from(request) : [request]) {
    socket.write(typeof part === 'number' ? Buffer.of(part) : part)
    if (byByte) await new Promise((resolve) => setTimeout(resolve, 2))
  }
  await done
  return text
}

/** The client may see the end before we do. */
async function dropped(): Promise<string | undefined> {
  const drops = () => server.events.flatMap((event) => (event.type === 'drop' ? [event.detail] : []))
  await until('the drop is told', () => drops().length > 0)
  return drops().join()
}
const name = (host: string) => Buffer.concat([Buffer.of(host.length), Buffer.from(host)])
const port = (number: number) => Buffer.of(number >> 8, number & 255)

describe('the first bytes tell', () => {
  test.each([
    ['SSH-2.0-x', 'ssh'],
    ['S', 'ssh'],
    ['CONNECT web:22', 'http'],
    ['CONNECT', undefined],
    ['P', undefined],
    ['PROXY TCP4', 'ssh'],
    ['PUT /', 'http'],
    ['get /', 'ssh'],
    ['\x05\x01\x00', 'socks5'],
    ['\x04\x01', 'socks4'],
    // A TLS client, and rubbish: SSH's to refuse.
    ['\x16\x03\x01', 'ssh'],
    ['\r\n', 'ssh'],
  ])('%j: %j', (bytes, protocol) => expect(protocolOf(Buffer.from(bytes, 'latin1'))).toBe(protocol))

  test.each([
    ['web:22', { host: 'web' }],
    ['+node:22', { host: '+node' }],
    ['db.shop.ctr:22', { host: 'db.shop.ctr' }],
    ['web:80', { port: true }],
    ['web', { reason: 'no host name' }],
    [':22', { reason: 'no host name' }],
    ['web:22:22', { reason: 'no host name' }],
    [`${'x'.repeat(256)}:22`, { reason: 'no host name' }],
    ['we\x7fb:22', { reason: 'no host name' }],
  ])('%j names %j', (authority, named) => expect(parseAuthority(authority)).toMatchObject(named))
})

describe('on a connection', () => {
  test('one that says nothing is told who we are: some wait for it', async () => {
    await start()
    expect(await answer('')).toMatch(/^SSH-2\.0-/)
    expect(server.events.filter(({ type }) => type === 'drop')).toEqual([])
  })

  test('a client that waits for the server’s ident gets in as ever (ssh-keyscan)', async () => {
    await start()
    const { stdout } = await run('ssh-keyscan', ['-p', String(server.port), '127.0.0.1'])
    expect(stdout.toString()).toContain('ssh-ed25519')
  })

  test('HTTP CONNECT and SSH may come in one packet, or byte by byte', async () => {
    await start()
    const request = 'CONNECT web:22 HTTP/1.1\r\nHost: web:22\r\nUser-Agent: x\r\n\r\nSSH-2.0-test\r\n'
    for (const byByte of [false, true])
      expect(await answer(request, /SSH-2\.0-/, byByte)).toMatch(/^HTTP\/1\.1 200 [^\r\n]+\r\n\r\nSSH-2\.0-/)
  })

  test.each([
    ['5', Buffer.concat([Buffer.of(5, 2, 2, 0), Buffer.of(5, 1, 0, 3), name('web'), port(22)]), '05000500000100000000'],
    ['4a', Buffer.concat([Buffer.of(4, 1), port(22), Buffer.of(0, 0, 0, 1), Buffer.from('me\0web\0')]), '005a'],
  ])('SOCKS %s likewise', async (_version, request, reply) => {
    await start()
    for (const byByte of [false, true]) {
      const text = await answer(request, /SSH-2\.0-/, byByte)
      expect(Buffer.from(text, 'latin1').toString('hex')).toMatch(new RegExp(`^${reply}`))
      expect(text).toContain('SSH-2.0-')
    }
  })

  test.each([
    ['a browser', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', /^HTTP\/1\.1 405 .*Allow: CONNECT.*SSH gateway/s],
    ['another port', 'CONNECT web:80 HTTP/1.1\r\n\r\n', /^HTTP\/1\.1 403 /],
    ['no port', 'CONNECT web HTTP/1.1\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['no HTTP', 'GET me out\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['another HTTP', 'CONNECT web:22 HTTP/2.0\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['a header without an end', `CONNECT web:22 HTTP/1.1\r\nX: ${'x'.repeat(20_000)}`, /^HTTP\/1\.1 431 /],
    ['a long line', `CONNECT ${'w'.repeat(9_000)}:22 HTTP/1.1\r\n\r\n`, /^HTTP\/1\.1 431 /],
  ])('%s is answered, and logged without what it said', async (_what, request, reply) => {
    await start()
    const text = await answer(request, /never/)
    expect(text).toMatch(reply)
    expect(text).not.toContain('SSH-2.0')
    expect(await dropped()).toMatch(/^http: [\w ,.:/]+$/)
  })

  test.each([
    ['an address', Buffer.from([5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 0, 22]), [5, 0, 5, 8]],
    ['another port', Buffer.concat([Buffer.of(5, 1, 0, 5, 1, 0, 3), name('web'), port(80)]), [5, 0, 5, 2]],
    ['a bind', Buffer.concat([Buffer.of(5, 1, 0, 5, 2, 0, 3), name('web'), port(22)]), [5, 0, 5, 7]],
    ['an unknown type of address', Buffer.of(5, 1, 0, 5, 1, 0, 9, 1, 2, 3), [5, 0, 5, 8]],
    ['authentication only', Buffer.of(5, 1, 2), [5, 255]],
    ['no method', Buffer.of(5, 0), [5, 255]],
    ['SOCKS 4 with an address', Buffer.from([4, 1, 0, 22, 127, 0, 0, 1, 0]), [0, 91]],
    ['SOCKS 4a without an end', Buffer.concat([Buffer.of(4, 1, 0, 22, 0, 0, 0, 1, 0), Buffer.alloc(500, 97)]), []],
  ])('SOCKS, %s: refused as the protocol has it', async (_what, request, reply) => {
    await start()
    const got = Buffer.from(await answer(request, /never/), 'latin1')
    expect([...got.subarray(0, reply.length)]).toEqual(reply)
    expect(got.toString('latin1')).not.toContain('SSH-2.0')
    expect(await dropped()).toMatch(/^socks: /)
  })

  test('the host is known to the login, and the user name stays the client’s', async () => {
    await start()
    const proxy = `ProxyCommand=nc -X connect -x 127.0.0.1:${server.port} %h %p`
    const result = await ssh(server, ['true'], { first: ['-o', proxy, '-o', 'HostName=web.ctr', '-p', '22'] })
    expect([result.code, result.stderr.toString()]).toEqual([0, ''])
    expect(server.connections[0]).toMatchObject({ host: 'web.ctr', user: 'dev@web' })
  })
})
