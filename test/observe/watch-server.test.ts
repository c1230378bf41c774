/** The server of /metrics and its like, as a hostile program or page of this machine meets it. */
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { openWatchServer, type WatchRoute, type WatchServer } from '../../src/observe/metrics/watch-server.ts'
import { run } from '../support/run.ts'

const folder = mkdtempSync(join(tmpdir(), 'hw-test-watch-'))
const closers: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })]
afterEach(async () => {
  for (const close of closers.splice(1)) await close()
})
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

const failures: unknown[] = []
/** More than the kernel takes for a client that does not read. */
const LARGE = 64 * 1024 * 1024
const ROUTES: Record<string, WatchRoute> = {
  '/healthz': () => ({ status: 200, body: 'ok\n' }),
  '/accept': (accept) => ({ status: 200, type: 'text/x', body: accept }),
  '/large': () => ({ status: 200, body: 'x'.repeat(LARGE) }),
  '/broken': () => {
    throw new Error('secret')
  },
}
/** A busy machine takes its time. */
const LIMITS = { requestMs: 20_000, connectionMs: 25_000, connections: 4 }
const SHORT = { requestMs: 300, connectionMs: 1_000, connections: 4 }
const ANY = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const

async function open(listen: Parameters<typeof openWatchServer>[0] = ANY, limits = LIMITS): Promise<WatchServer> {
  const server = await openWatchServer(listen, ROUTES, (error) => failures.push(error), limits)
  closers.push(() => server.close())
  return server
}

interface Heard {
  readonly status: number
  readonly headers: Record<string, string | string[] | undefined>
  readonly body: string
}

function ask(server: WatchServer, path: string, options: { method?: string; host?: string; accept?: string } = {}) {
  const { method = 'GET', host, accept } = options
  const [, socketPath] = /^unix:(.*)$/.exec(server.place) ?? []
  const [, address, port] = /^\[?(.+?)\]?:(\d+)$/.exec(server.place) ?? []
  const where = socketPath === undefined ? { host: address, port } : { socketPath }
  const headers = { ...(host !== undefined && { host }), ...(accept !== undefined && { accept }) }
  return new Promise<Heard>((resolve, reject) => {
    const asked = request({ ...where, path, method, headers, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
    })
    asked.on('error', reject).end()
  })
}

/** What a client that writes these bytes reads until it is hung up on. */
async function raw(server: WatchServer, text: string): Promise<string> {
  const [, port = ''] = /:(\d+)$/.exec(server.place) ?? []
  const socket = connect(Number(port), '127.0.0.1')
  let heard = ''
  socket.setEncoding('utf8').on('data', (part) => {
    heard += part
  })
  socket.on('error', () => {})
  socket.write(text)
  await once(socket, 'close')
  return heard
}

test('GET and HEAD are answered, and the connection ends', async () => {
  const server = await open()
  expect(await ask(server, '/healthz?x=1')).toMatchObject({
    ...{ status: 200, body: 'ok\n' },
    headers: { connection: 'close', 'cache-control': 'no-store', 'cross-origin-resource-policy': 'same-origin' },
  })
  const head = await ask(server, '/healthz', { method: 'HEAD' })
  expect(head).toMatchObject({ status: 200, body: '', headers: { 'content-length': '3' } })
  expect(head.headers).not.toHaveProperty('access-control-allow-origin')
  expect(await ask(server, '/accept', { accept: 'a/b' })).toMatchObject({ body: 'a/b' })
})

test.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE'])('%s is not', async (method) => {
  expect(await ask(await open(), '/healthz', { method })).toMatchObject({
    status: 405,
    headers: { allow: 'GET, HEAD' },
  })
})

test.each(['/', '/metrics/', '/healthz/..', '/__proto__', '/toString', '//healthz'])('there is no %s', async (path) => {
  expect(await ask(await open(), path)).toMatchObject({ status: 404 })
})

test.each([
  ['localhost', 200],
  ['LocalHost:80', 200],
  ['127.0.0.1:9464', 200],
  ['127.4.5.6', 200],
  ['[::1]:9464', 200],
  ['[::1]', 200],
  ['evil.example', 421],
  ['evil.example:9464', 421],
  ['localhost.evil.example', 421],
  ['127.0.0.1.evil.example:9464', 421],
  ['127.0.0.1@evil.example', 421],
  ['127.1', 421],
  ['0.0.0.0:9464', 421],
  ['10.0.0.1', 421],
  ['[::]:9464', 421],
  ['[fe80::1]', 421],
])('a request to the host %j is answered with %i', async (host, status) => {
  expect(await ask(await open(), '/healthz', { host })).toMatchObject({ status })
})

test('a program that speaks HTTP 1.0 needs no Host, one of 1.1 does', async () => {
  const server = await open()
  expect(await raw(server, 'GET /healthz HTTP/1.0\r\n\r\n')).toMatch(/ 200 .*ok\n$/s)
  expect(await raw(server, 'GET /healthz HTTP/1.1\r\n\r\n')).toMatch(/ 400 /)
  expect(await raw(server, 'GET /healthz HTTP/1.1\r\nHost:\r\n\r\n')).toMatch(/ 421 /)
})

test('a fault of a route is told to the log alone', async () => {
  failures.length = 0
  const answer = await ask(await open(), '/broken')
  expect(answer).toMatchObject({ status: 500, body: expect.not.stringContaining('secret') })
  expect(failures).toEqual([new Error('secret')])
})

test('a request that does not come, comes slowly, is too large or is no HTTP ends the connection', async () => {
  const server = await open(ANY, SHORT)
  const all = await Promise.all([
    raw(server, ''),
    raw(server, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: '),
    raw(server, `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`),
    raw(server, 'SSH-2.0-x\r\n\r\n'),
  ])
  expect(all[2]).toMatch(/ 431 /)
  expect(all[3]).toMatch(/ 400 /)
  expect(all.join('')).not.toContain('200')
})

test('one request a connection, however many are sent ahead', async () => {
  const heard = await raw(await open(), 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(50))
  expect(heard.match(/ok\n/g)).toHaveLength(1)
})

test('a client that does not read its answer is over in time, whatever is left of it', async () => {
  const server = await open(ANY, SHORT)
  const [, port = ''] = /:(\d+)$/.exec(server.place) ?? []
  const socket = connect(Number(port), '127.0.0.1').pause()
  socket.on('error', () => {})
  socket.write('GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await new Promise((resolve) => setTimeout(resolve, SHORT.connectionMs + 300))
  let heard = 0
  socket.on('data', (chunk: Buffer) => {
    heard += chunk.length
  })
  await once(socket.resume(), 'close')
  expect(heard).toBeGreaterThan(0)
  expect(heard).toBeLessThan(LARGE)
})

test('a body is not waited for', async () => {
  const server = await open()
  const body = 'POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx'
  expect(await raw(server, body)).toMatch(/ 405 /)
})

test('those beyond the number of connections are hung up on; others come in once there is room', async () => {
  const server = await open(ANY, { ...LIMITS, connectionMs: 2_000 })
  const idle = Array.from({ length: 4 }, () => raw(server, 'GET '))
  const tried = () =>
    ask(server, '/healthz').then(
      () => 'answered',
      () => 'refused',
    )
  await expect.poll(tried, { timeout: 1_500 }).toBe('refused')
  await Promise.all(idle)
  expect(await ask(server, '/healthz')).toMatchObject({ status: 200 })
})

test('a port that is taken is a sentence', async () => {
  const used = createServer().listen(0, '127.0.0.1')
  await once(used, 'listening')
  closers.push(() => used.close())
  const { port } = used.address() as { port: number }
  await expect(open({ kind: 'tcp', host: '127.0.0.1', port })).rejects.toThrow(
    /^metrics\.listen: .*EADDRINUSE.*another program has it .* choose another port with metrics\.listen$/,
  )
})

test('the loopback of IPv6', async () => {
  const server = await open({ kind: 'tcp', host: '::1', port: 0 })
  expect(server.place).toMatch(/^\[::1\]:\d+$/)
  expect(await ask(server, '/healthz')).toMatchObject({ status: 200 })
})

test('a unix socket is for its user and group, any Host may ask there, and it goes with the server', async () => {
  const path = join(folder, 'a.sock')
  const server = await open({ kind: 'unix', path })
  expect(server.place).toBe(`unix:${path}`)
  expect(statSync(path).mode & 0o777).toBe(0o660)
  expect(await ask(server, '/healthz', { host: 'web.example' })).toMatchObject({ status: 200 })
  await server.close()
  await server.close()
  expect(existsSync(path)).toBe(false)
})

test('a socket that a killed process left is replaced; a live one, and a file, are not', async () => {
  const path = join(folder, 'b.sock')
  const leave = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 9))`
  await run(process.execPath, ['-e', leave])
  expect(statSync(path).isSocket()).toBe(true)
  const server = await open({ kind: 'unix', path })
  expect(await ask(server, '/healthz')).toMatchObject({ status: 200 })
  await expect(open({ kind: 'unix', path })).rejects.toThrow(`metrics.listen: ${path} is in use by another gateway`)
  expect(await ask(server, '/healthz')).toMatchObject({ status: 200 })
  const file = join(folder, 'c.sock')
  writeFileSync(file, '')
  await expect(open({ kind: 'unix', path: file })).rejects.toThrow(/metrics\.listen: .*c\.sock cannot be made/)
  await expect(open({ kind: 'unix', path: `/${'x'.repeat(120)}` })).rejects.toThrow('is longer than 107 bytes')
})
