/** What a real server does seldom; the rest of the transport is tried on containerd itself (containerd.test.ts). */
import { mkdtemp, rm } from 'node:fs/promises'
import http2 from 'node:http2'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { createGrpcChannel, type GrpcChannel } from '../../../src/engine/containerd/grpc.ts'
import { until } from '../../support/wait.ts'

const soon = () => AbortSignal.timeout(10_000)
const frame = (text: string) => {
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(Buffer.byteLength(text), 1)
  return Buffer.concat([prefix, Buffer.from(text)])
}

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

type Answer = (stream: http2.ServerHttp2Stream, path: string, headers: http2.IncomingHttpHeaders) => void

async function serve(
  answer: Answer,
): Promise<{ channel: GrpcChannel; path: string; stop(): void; start(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'hw-test-grpc-'))
  const path = join(folder, 'socket')
  const sessions = new Set<http2.ServerHttp2Session>()
  let server: http2.Http2Server
  const start = () => {
    server = http2.createServer()
    server.on('session', (session) => sessions.add(session))
    server.on('stream', (stream, headers) => {
      stream.on('error', () => {})
      answer(stream, String(headers[':path']), headers)
    })
    return new Promise<void>((resolve) => server.listen(path, resolve))
  }
  const stop = () => {
    for (const session of sessions) session.destroy()
    server.close()
  }
  await start()
  const channel = createGrpcChannel(path, { 'x-name': 'value' })
  closers.push(
    () => rm(folder, { recursive: true }),
    stop,
    () => channel.close(),
  )
  return { channel, path, stop, start }
}

function end(stream: http2.ServerHttp2Stream, trailers: http2.OutgoingHttpHeaders, ...bodies: Buffer[]): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers(trailers))
  for (const body of bodies) stream.write(body)
  stream.end()
}

test('sends a request with the metadata, and returns the answer', async () => {
  const { channel } = await serve((stream, path, headers) => {
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () =>
      end(stream, { 'grpc-status': '0' }, frame(`${path} ${headers['x-name']} ${Buffer.concat(chunks).subarray(5)}`)),
    )
  })
  expect((await channel.call('/a.B/C', Buffer.from('hello'), soon())).toString()).toBe('/a.B/C value hello')
})

test('an error has its status and its words, with a body and without', async () => {
  const { channel } = await serve((stream, path) => {
    const status = { 'grpc-status': '5', 'grpc-message': 'no %22such%22 thing: 100%' }
    if (path.endsWith('Bare')) stream.respond({ ':status': 200, ...status }, { endStream: true })
    else end(stream, { 'grpc-status': '5', 'grpc-message': 'no %22such%22 thing' })
  })
  await expect(channel.call('/a.B/C', Buffer.alloc(0), soon())).rejects.toMatchObject({
    status: 5,
    message: 'no "such" thing',
  })
  await expect(channel.call('/a.B/Bare', Buffer.alloc(0), soon())).rejects.toMatchObject({ status: 5 })
})

test('what is no gRPC answer is an error: another status, no trailers, half a message, a compressed one, a length of 4 GB', async () => {
  const { channel } = await serve((stream, path) => {
    if (path === '/404') return stream.respond({ ':status': 404 }, { endStream: true })
    if (path === '/no-trailers') {
      stream.respond({ ':status': 200 })
      return stream.end(frame('x'))
    }
    const body = { '/half': frame('hello').subarray(0, 7), '/compressed': Buffer.from([1, 0, 0, 0, 0]) }[path]
    end(stream, { 'grpc-status': '0' }, body ?? Buffer.from([0, 255, 255, 255, 255]))
  })
  for (const path of ['/404', '/no-trailers', '/half', '/compressed', '/long']) {
    await expect(channel.call(path, Buffer.alloc(0), soon()), path).rejects.toMatchObject({ name: 'GrpcError' })
  }
})

test('streams messages however they are cut, and ends as the server does', async () => {
  const { channel } = await serve((stream, path) => {
    const all = Buffer.concat([frame('one'), frame(''), frame('three'.repeat(1000))])
    const status = path === '/ok' ? '0' : '14'
    end(stream, { 'grpc-status': status }, all.subarray(0, 3), all.subarray(3, 10), all.subarray(10))
  })
  const read = async (path: string) => {
    const seen: string[] = []
    for await (const message of channel.stream(path, Buffer.alloc(0), soon())) seen.push(message.toString())
    return seen
  }
  expect(await read('/ok')).toEqual(['one', '', 'three'.repeat(1000)])
  await expect(read('/broken')).rejects.toMatchObject({ status: 14 })
})

test('a call that hangs ends with its signal’s reason, and is cancelled; others go on', async () => {
  let cancelled = 0
  const { channel } = await serve((stream, path) => {
    stream.on('close', () => cancelled++)
    if (path === '/quick') end(stream, { 'grpc-status': '0' }, frame('ok'))
  })
  const hang = new AbortController()
  const hanging = channel.call('/hang', Buffer.alloc(0), hang.signal)
  expect((await channel.call('/quick', Buffer.alloc(0), soon())).toString()).toBe('ok')
  hang.abort(new Error('enough'))
  await expect(hanging).rejects.toThrow('enough')
  await until('the server knows', () => cancelled === 2)
  const reading = channel.stream('/hang', Buffer.alloc(0), AbortSignal.timeout(100))
  await expect(reading.next()).rejects.toMatchObject({ name: 'TimeoutError' })
})

test('a reader who stops ends the stream', async () => {
  let ended = false
  const { channel } = await serve((stream) => {
    stream.on('close', () => {
      ended = true
    })
    stream.respond({ ':status': 200 })
    stream.write(frame('one'))
  })
  for await (const message of channel.stream('/x', Buffer.alloc(0), soon())) {
    expect(message.toString()).toBe('one')
    break
  }
  await until('the server knows', () => ended)
})

test('a server that goes breaks its calls as unavailable, and the next call finds the one that came after it', async () => {
  const { channel, stop, start } = await serve((stream, path) => {
    if (path === '/quick') end(stream, { 'grpc-status': '0' }, frame('ok'))
  })
  const hanging = channel.call('/hang', Buffer.alloc(0), soon())
  await channel.call('/quick', Buffer.alloc(0), soon())
  stop()
  await expect(hanging).rejects.toMatchObject({ status: 14 })
  await expect(channel.call('/quick', Buffer.alloc(0), soon())).rejects.toMatchObject({
    code: expect.stringMatching(/^E(NOENT|CONNREFUSED)$/),
  })
  await start()
  expect((await channel.call('/quick', Buffer.alloc(0), soon())).toString()).toBe('ok')
})

test('what answers and is no HTTP/2 server is unavailable', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hw-test-grpc-'))
  const path = join(folder, 'socket')
  const server = net.createServer((socket) => {
    socket.on('error', () => {})
    socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  const channel = createGrpcChannel(path, {})
  closers.push(
    () => rm(folder, { recursive: true }),
    () => server.close(),
    () => channel.close(),
  )
  await expect(channel.call('/x', Buffer.alloc(0), soon())).rejects.toMatchObject({ status: 14 })
})

test('a closed channel breaks what runs and refuses more', async () => {
  const { channel } = await serve(() => {})
  const hanging = channel.call('/hang', Buffer.alloc(0), soon())
  const refused = expect(hanging).rejects.toMatchObject({ status: 14 })
  await new Promise((resolve) => setTimeout(resolve, 50))
  channel.close()
  channel.close()
  await refused
  await expect(channel.call('/x', Buffer.alloc(0), soon())).rejects.toMatchObject({ status: 14 })
})
