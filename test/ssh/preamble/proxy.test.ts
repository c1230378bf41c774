/** The PROXY header in front of real clients: who is listed must send one, who is not listed cannot. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { type Block, parseBlock } from '../../../src/net/address.ts'
import type { SshLimits } from '../../../src/ssh/limits.ts'
import { createApproach } from '../../../src/ssh/preamble/preamble.ts'
import { LIMITS, program, run, ssh, startServer, type TestServer } from '../support.ts'
import { v1, v2 } from './headers.ts'

let server: TestServer
let proxy: Server | undefined
const sockets: Socket[] = []

afterEach(async () => {
  proxy?.close()
  for (const socket of sockets.splice(0)) socket.destroy()
  await server?.close()
})

function blocks(...texts: string[]): Block[] {
  return texts.flatMap((text) => parseBlock(text) ?? [])
}

async function start(limits: Partial<SshLimits> = {}, proxies = blocks('127.0.0.1')): Promise<void> {
  server = await startServer({
    limits,
    approach: createApproach({ proxies: () => proxies }),
    session: program(async () => ({ code: 0 })),
  })
}

/** What HAProxy's send-proxy does; answers its port. */
async function proxyWith(header: string | Buffer, { slowly = false } = {}): Promise<number> {
  proxy = createServer((client) => {
    const upstream = connect(server.port, '127.0.0.1')
    sockets.push(client, upstream)
    client.on('error', () => upstream.destroy())
    upstream.on('error', () => client.destroy())
    void (async () => {
      for (const byte of slowly ? Buffer.from(header) : []) {
        upstream.write(Buffer.from([byte]))
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      if (!slowly) upstream.write(header)
      client.pipe(upstream).pipe(client)
    })()
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  return (proxy.address() as AddressInfo).port
}

const through = (port: number) => ({ first: ['-p', String(port)] })

function dial(from = '127.0.0.1'): Socket {
  const socket = connect({ port: server.port, host: '127.0.0.1', localAddress: from })
  socket.on('error', () => {})
  sockets.push(socket)
  return socket
}

/** All it was sent until it was closed. */
async function answer(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(socket, 'close')
  return Buffer.concat(chunks).toString('latin1')
}

const drops = () => server.events.filter((event) => event.type === 'drop')

test.each([
  ['version 1', v1('TCP4', '192.0.2.7', '198.51.100.1', 50000, 22), {}],
  ['version 1, byte by byte', v1('TCP4', '192.0.2.7', '198.51.100.1', 50000, 22), { slowly: true }],
  ['version 2', v2({ family: 0x11, addresses: ['192.0.2.7', '198.51.100.1'], ports: [50000, 22] }), {}],
  [
    'version 2 with TLVs, byte by byte',
    v2({ family: 0x11, addresses: ['192.0.2.7', '198.51.100.1'], ports: [50000, 22], more: Buffer.alloc(90, 4) }),
    { slowly: true },
  ],
])('%s of a listed proxy: the session sees both true ends', async (_, header, how) => {
  await start()
  const { code, stderr } = await ssh(server, ['true'], through(await proxyWith(header, how)))
  expect([code, stderr.toString()]).toEqual([0, ''])
  expect(server.connections[0]).toMatchObject({
    remote: { address: '192.0.2.7', port: 50000 },
    local: { address: '198.51.100.1', port: 22 },
  })
})

test('IPv6 is told in its one shortest spelling', async () => {
  await start()
  const header = v2({ family: 0x21, addresses: ['2001:db8::7', '::1'], ports: [50000, 22] })
  await ssh(server, ['true'], through(await proxyWith(header)))
  expect(server.connections[0]?.remote.address).toBe('2001:db8::7')
})

test.each([
  ['LOCAL', v2({ command: 0x20, family: 0x00 })],
  ['unspecified', v2({ family: 0x00 })],
  ['UNKNOWN', 'PROXY UNKNOWN\r\n'],
])('%s: the proxy itself is the client', async (_, header) => {
  await start()
  expect((await ssh(server, ['true'], through(await proxyWith(header)))).code).toBe(0)
  expect(server.connections[0]?.remote.address).toBe('127.0.0.1')
})

test.each([
  ['no header', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ['a malformed one', 'PROXY TCP4 1.2.3.4 5 6\r\n'],
  ['half of one, and the end', 'PROXY TCP4 1.2.3.4 '],
])('a listed proxy that sends %s is closed without a word, and the log says why', async (_, bytes) => {
  await start()
  const socket = dial()
  socket.end(bytes)
  expect(await answer(socket)).toBe('')
  expect(drops()).toEqual([expect.objectContaining({ reason: 'proxy-header', detail: expect.any(String) })])
  expect(server.server.connections()).toBe(0)
})

test('a listed proxy that sends nothing is closed by LoginGraceTime', async () => {
  await start({ loginGraceTime: 300 })
  const socket = dial()
  socket.write('PROXY ')
  expect(await answer(socket)).toBe('')
  expect(drops()).toEqual([expect.objectContaining({ detail: 'login grace time exceeded' })])
})

test('the header uses up LoginGraceTime, and does not start it anew', async () => {
  await start({ loginGraceTime: 4000 })
  const socket = dial()
  const begin = Date.now()
  setTimeout(() => socket.write(v1('TCP4', '192.0.2.7', '192.0.2.8', 1, 2)), 3500)
  expect(await answer(socket)).toContain('SSH-2.0-')
  expect(Date.now() - begin).toBeLessThan(6500)
}, 15_000)

test('from anybody else a header is garbage before the banner, as to sshd', async () => {
  await start({}, blocks('127.0.0.9'))
  const socket = dial('127.0.0.5')
  socket.write(v1('TCP4', '127.0.0.9', '127.0.0.1', 1, 2))
  expect(await answer(socket)).toContain('Invalid SSH identification string.')
  expect(server.events.find((event) => event.type === 'connect')).toMatchObject({ remote: { address: '127.0.0.5' } })
  expect((await ssh(server, ['true'])).code).toBe(0)
  expect(server.connections[0]?.remote.address).toBe('127.0.0.1')
})

test('limits see the true address: one client behind the proxy does not use up what the others have', async () => {
  await start({ perSourceMaxStartups: 1 })
  const behind = (address: string) => {
    const socket = dial()
    socket.write(v1('TCP4', address, '192.0.2.1', 1, 2))
    return socket
  }
  const first = behind('192.0.2.7')
  await once(first, 'data')
  expect(await answer(behind('192.0.2.7'))).toMatch(/^Exceeded MaxStartups\r\n/)
  expect(String((await once(behind('192.0.2.8'), 'data'))[0])).toContain('SSH-2.0-')
  expect(drops()).toEqual([
    expect.objectContaining({ reason: 'per-source-max-startups', remote: { address: '192.0.2.7', port: 1 } }),
  ])
})

test('penalties meet the client behind the proxy, never the proxy', async () => {
  await start({ perSourcePenalties: { ...LIMITS.perSourcePenalties, enabled: true, min: 0 } })
  const bad = v1('TCP4', '192.0.2.7', '192.0.2.1', 1, 2)
  const wrong = ['-i', server.folder.key('other'), '-o', 'IdentityFile=none']
  const port = await proxyWith(bad)
  const refused = await run('ssh', [
    ...['-F', '/dev/null', '-p', String(port), ...wrong, '-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=no'],
    ...['-o', 'UserKnownHostsFile=/dev/null', 'x@127.0.0.1', 'true'],
  ])
  expect(refused.code).toBe(255)
  await expect
    .poll(() => server.events.find((event) => event.type === 'penalty'))
    .toMatchObject({
      source: '192.0.2.7/32',
      misdeed: 'authfail',
      active: true,
    })
  const again = dial()
  again.write(bad)
  expect(await answer(again)).toBe('Not allowed at this time\r\n')
  // A health check that says nothing, again and again; version 1 has nobody's connections, only the proxy's own.
  for (let i = 0; i < 5; i++) {
    for (const header of [v2({ command: 0x20, family: 0 }), v1('TCP4', '127.0.0.1', '127.0.0.1', 1, 2)]) {
      const check = dial()
      check.end(header)
      await answer(check)
    }
  }
  expect(server.events.filter((event) => event.type === 'penalty' && event.source !== '192.0.2.7/32')).toEqual([])
  const other = dial()
  other.write(v1('TCP4', '192.0.2.8', '192.0.2.1', 1, 2))
  expect(String((await once(other, 'data'))[0])).toContain('SSH-2.0-')
})

test('bytes of the client in the same packet as the header are not lost', async () => {
  await start()
  const socket = dial()
  socket.write(`${v1('TCP4', '192.0.2.7', '192.0.2.8', 1, 2)}no banner\r\n`)
  expect(await answer(socket)).toContain('Invalid SSH identification string.')
  expect(drops()).toEqual([])
})
