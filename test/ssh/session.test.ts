/** Sessions: with the real OpenSSH client, and with a peer that sends what no client sends. */

import { once } from 'node:events'
import { createServer } from 'node:net'
import { Duplex } from 'node:stream'
import { afterEach, expect, test } from 'vitest'
import type { ExitStatus } from '../../src/base/program.ts'
import { bytesOf } from '../../src/bytes/byte-text.ts'
import type { PtyRequest, SessionStart, SshSession } from '../../src/ssh/session.ts'
import { connectPeer, fields, HIDE_CHANNELS, Message, openSession, type Peer, packet } from './peer.ts'
import {
  program,
  type RunOptions,
  ssh,
  start,
  startServer,
  type TestServer,
  type TestServerOptions,
} from './support.ts'

let server: TestServer
let peer: Peer | undefined

afterEach(async () => {
  peer?.close()
  await server?.close()
})

async function single(options: TestServerOptions, args: string[], more: RunOptions & { first?: string[] } = {}) {
  server = await startServer(options)
  return ssh(server, args, more)
}

async function rawPeer(options: TestServerOptions): Promise<Peer> {
  server = await startServer(options)
  peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  return peer
}

/** A session that is accepted and then left to the test. */
function held(): { options: TestServerOptions; session: Promise<SshSession> } {
  let resolve: (session: SshSession) => void
  const session = new Promise<SshSession>((r) => {
    resolve = r
  })
  return {
    session,
    options: {
      session: (opened) => {
        opened.accept()
        resolve(opened)
      },
    },
  }
}

test('runs a command, keeps stdout and stderr apart and gives its exit code', async () => {
  let started: SessionStart | undefined
  const result = await single(
    {
      session: program(async (session, write) => {
        started = session.start
        await write(1, 'out\n')
        await write(2, 'err\n')
        return { code: 7 }
      }),
    },
    ['say "hello"   $HOME'],
  )
  expect(started).toEqual({ kind: 'exec', command: Buffer.from('say "hello"   $HOME') })
  expect(result.stdout.toString()).toBe('out\n')
  expect(result.stderr.toString()).toBe('err\n')
  expect(result.code).toBe(7)
})

test('gives back binary input of 20 MB unchanged', async () => {
  const input = Buffer.alloc(20 * 1024 * 1024)
  for (let i = 0; i < input.length; i += 4) input.writeUInt32LE((i * 2654435761) >>> 0, i)
  const result = await single({}, ['cat'], { input })
  expect(result.code).toBe(0)
  expect(result.stdout.equals(input)).toBe(true)
})

test('B9: pty-req carries size and all modes (stock: always empty)', async () => {
  let pty: PtyRequest | undefined
  await single(
    {
      session: program(async (session) => {
        pty = session.pty
        return { code: 0 }
      }),
    },
    ['-tt', 'true'],
    { env: { TERM: 'xterm-256color' } },
  )
  expect(pty?.term).toBe('xterm-256color')
  expect(pty?.modes.at(-1)).toBe(0)
  expect(((pty?.modes.length ?? 0) - 1) % 5).toBe(0)
})

test('takes a pty-req of 0x0 with modes as they are', async () => {
  const { options, session } = held()
  const channel = await openSession(await rawPeer(options))
  const modes = Buffer.from([1, 0, 0, 0, 3, 42, 0, 0, 0, 1, 0])
  channel.request('pty-req', true, fields('dumb', 0, 0, 0, 0, modes))
  await peer?.next(Message.CHANNEL_SUCCESS)
  channel.request('shell', false)
  expect((await session).pty).toEqual({ term: 'dumb', cols: 0, rows: 0, width: 0, height: 0, modes })
})

test('bytes that are no text stay what they are, in TERM and in variables', async () => {
  const { options, session } = held()
  const channel = await openSession(await rawPeer(options))
  const bytes = Buffer.from([0x61, 0xe9, 0x80, 0xff])
  channel.request('pty-req', false, fields(bytes, 80, 24, 0, 0, Buffer.alloc(0)))
  channel.request('env', true, fields('LC_X', bytes))
  await peer?.next(Message.CHANNEL_SUCCESS)
  channel.request('shell', false)
  const { pty, env } = await session
  expect([pty?.term ?? '', env.get('LC_X') ?? ''].map(bytesOf)).toEqual([bytes, bytes])
})

test('only variables that are allowed reach the session', async () => {
  const { options, session } = held()
  await rawPeer({
    ...options,
    handlers: () => ({ allow: async (action) => action.kind === 'env' && action.name.startsWith('LC_') }),
  })
  const channel = await openSession(peer as Peer)
  channel.request('env', true, fields('LC_ALL', 'C'))
  channel.request('env', true, fields('LD_PRELOAD', 'evil.so'))
  channel.request('env', true, fields('LC_ALL', 'de_DE.UTF-8'))
  const replies = [99, 100, 99]
  for (const reply of replies) expect((await peer?.next(99, 100))?.type).toBe(reply)
  channel.request('shell', false)
  expect([...(await session).env]).toEqual([['LC_ALL', 'de_DE.UTF-8']])
})

test('requests of a channel are answered in order, though the first takes longest', async () => {
  let delay = 200
  const { options } = held()
  await rawPeer({
    ...options,
    handlers: () => ({
      allow: async (action) => {
        const wait = delay
        delay = 0
        await new Promise((resolve) => setTimeout(resolve, wait))
        return action.kind === 'env'
      },
    }),
  })
  const channel = await openSession(peer as Peer)
  channel.request('env', true, fields('A', '1'))
  channel.request('x11-req', true, fields(false, 'MIT-MAGIC-COOKIE-1', 'abcd', 0))
  channel.request('env', true, fields('B', '2'))
  channel.request('shell', true)
  channel.request('no-such@request', true)
  const types: number[] = []
  for (let i = 0; i < 5; i++) types.push((await peer?.next(99, 100))?.type ?? 0)
  expect(types).toEqual([99, 100, 99, 99, 100])
})

test('a 250,000 byte command arrives whole (stock: the connection ends at 35,000)', async () => {
  let length = 0
  const command = `true ${'x'.repeat(120_000)}`
  const result = await single(
    {
      session: program(async (session) => {
        length = session.start.kind === 'exec' ? session.start.command.length : 0
        return { code: 0 }
      }),
    },
    [command, 'y'.repeat(120_000)],
  )
  expect(result.code).toBe(0)
  expect(length).toBe(command.length + 120_001)
})

test('an unknown subsystem is refused by CHANNEL_FAILURE', async () => {
  const result = await single({ session: (session) => session.reject() }, ['-s', 'no-such'])
  expect(result.code).toBe(255)
  expect(result.stderr.toString()).toContain('subsystem request failed')
})

test('a handler that throws refuses its session and nothing else', async () => {
  const thrown = new Error('boom')
  const options: TestServerOptions = {
    session: () => {
      throw thrown
    },
  }
  const result = await single(options, ['true'])
  expect(result.code).toBe(255)
  expect(result.stderr.toString()).not.toContain('boom')
  expect(server.events).toContainEqual(expect.objectContaining({ type: 'fault', error: thrown }))
})

const exits: [string, ExitStatus, string[]][] = [
  ['KILL', { signal: 'KILL', coreDumped: false }, ['exit-signal', 'KILL']],
  ['SIGSEGV with a core', { signal: 'SIGSEGV', coreDumped: true }, ['exit-signal', 'SEGV']],
  [
    'a real-time signal, as sshd names it',
    { signal: 'RTMIN+3', coreDumped: false },
    ['exit-signal', 'SIG@openssh.com'],
  ],
  ['code 255', { code: 255 }, ['exit-status', '255']],
  ['B5: no code at all (stock: the process dies)', { code: null as unknown as number }, ['exit-status', '255']],
]

test.each(exits)('exit by %s', async (_name, status, expected) => {
  const channel = await openSession(await rawPeer({ session: program(async () => status) }))
  channel.request('shell', false)
  await peer?.next(Message.CHANNEL_EOF)
  const request = await peer?.next(Message.CHANNEL_REQUEST)
  request?.reader.u32()
  const type = request?.reader.text()
  expect(request?.reader.bool()).toBe(false)
  const value = type === 'exit-status' ? String(request?.reader.u32()) : request?.reader.text()
  expect([type, value]).toEqual(expected)
  await peer?.next(Message.CHANNEL_CLOSE)
})

test('the client gives 255 for an exit-signal', async () => {
  const result = await single({ session: program(async () => ({ signal: 'TERM', coreDumped: false })) }, ['sleep 9'])
  expect(result.code).toBe(255)
})

test('B5: a late exit, after the client closed, is no error', async () => {
  const { options, session } = held()
  const channel = await openSession(await rawPeer(options))
  channel.request('shell', false)
  const opened = await session
  peer?.send(packet(Message.CHANNEL_CLOSE, channel.id))
  await peer?.next(Message.CHANNEL_CLOSE)
  expect(opened.closed.aborted).toBe(true)
  expect(opened.write(1, Buffer.from('late'))).toBe(true)
  await opened.exit({ code: 0 })
  await opened.exit({ code: 1 })
})

test('B6: data and EOF sent before the start is accepted are kept (stock: dropped)', async () => {
  let session: SshSession | undefined
  await rawPeer({
    session: (opened) => {
      session = opened
    },
  })
  const channel = await openSession(peer as Peer)
  channel.request('exec', true, fields('cat'))
  channel.data(Buffer.from('early '))
  channel.data(Buffer.from('bird'))
  peer?.send(packet(Message.CHANNEL_EOF, channel.id))
  await expect.poll(() => session).toBeDefined()
  await new Promise((resolve) => setTimeout(resolve, 200))
  expect(peer?.packets.some(({ type }) => type === Message.CHANNEL_SUCCESS)).toBe(false)
  session?.accept()
  await peer?.next(Message.CHANNEL_SUCCESS)
  const chunks: Buffer[] = []
  session?.stdin.on('data', (chunk: Buffer) => chunks.push(chunk))
  if (session) await once(session.stdin, 'end')
  expect(Buffer.concat(chunks).toString()).toBe('early bird')
})

test('signal, window-change and break arrive after the client sent EOF (stock: dropped)', async () => {
  const seen: unknown[] = []
  await rawPeer({
    session: (session) => {
      session.accept()
      session.listen({
        signal: (name) => seen.push(name) > 0,
        resize: (size) => seen.push(size),
        break: (milliseconds) => seen.push(milliseconds) > 0,
      })
    },
  })
  const channel = await openSession(peer as Peer)
  channel.request('shell', true)
  peer?.send(packet(Message.CHANNEL_EOF, channel.id))
  channel.request('signal', false, fields('USR1'))
  channel.request('window-change', false, fields(100, 40, 0, 0))
  channel.request('break', true, fields(500))
  await peer?.next(Message.CHANNEL_SUCCESS)
  await peer?.next(Message.CHANNEL_SUCCESS)
  expect(seen).toEqual(['USR1', { cols: 100, rows: 40, width: 0, height: 0 }, 500])
})

test('what comes before the application listens is told when it does', async () => {
  const { options, session } = held()
  const channel = await openSession(await rawPeer(options))
  channel.request('shell', false)
  channel.request('window-change', false, fields(90, 30, 0, 0))
  channel.request('signal', false, fields('INT'))
  channel.request('no-such@request', true)
  await peer?.next(Message.CHANNEL_FAILURE)
  const seen: unknown[] = []
  const opened = await session
  opened.listen({ signal: (name) => seen.push(name) > 0, resize: ({ cols }) => seen.push(cols) })
  expect(seen).toEqual([90, 'INT'])
})

test('what comes before anybody listens: the last size, and each signal once', async () => {
  const { options, session } = held()
  const channel = await openSession(await rawPeer(options))
  channel.request('shell', false)
  const opened = await session
  for (let i = 0; i < 100; i++) channel.request('signal', false, fields(`S${i % 40}`))
  for (let i = 1; i <= 200; i++) channel.request('window-change', false, fields(i, 24, 0, 0))
  for (const name of ['S39', 'TERM'.repeat(10)]) {
    channel.request('signal', true, fields(name))
    await peer?.next(Message.CHANNEL_FAILURE)
  }
  const told: (string | number)[] = []
  opened.listen({ resize: ({ cols }) => told.push(cols), signal: (name) => told.push(name) > 0 })
  expect(new Set(told).size).toBe(33)
  expect(told).toHaveLength(33)
  expect(told.at(-1)).toBe(200)
})

test('a second start, and env after the start, get CHANNEL_FAILURE', async () => {
  const { options } = held()
  const channel = await openSession(await rawPeer(options))
  channel.request('shell', true)
  channel.request('exec', true, fields('id'))
  channel.request('env', true, fields('A', 'b'))
  channel.request('pty-req', true, fields('x', 1, 1, 0, 0, Buffer.alloc(0)))
  const types: number[] = []
  for (let i = 0; i < 4; i++) types.push((await peer?.next(99, 100))?.type ?? 0)
  expect(types).toEqual([99, 100, 100, 100])
})

test('eow@openssh.com from the client: output is dropped and the application hears of it', async () => {
  let closedOutput = false
  server = await startServer({
    session: program(async (session, write, listen) => {
      listen({
        outputClosed: () => {
          closedOutput = true
        },
      })
      while (!closedOutput && !session.closed.aborted) {
        await write(1, Buffer.alloc(32 * 1024, 'y\n'))
        await new Promise((resolve) => setImmediate(resolve))
      }
      return { code: 0 }
    }),
  })
  const child = start('ssh', [...server.options, '127.0.0.1', 'yes'])
  child.stdout?.once('data', () => child.stdout?.destroy())
  const [code] = await once(child, 'close')
  expect(closedOutput).toBe(true)
  expect(code).toBe(0)
})

test('eow@openssh.com to the client: it stops sending and the session goes on', async () => {
  const result = await single(
    {
      session: program(async (session, write) => {
        session.stopReading()
        await new Promise((resolve) => setTimeout(resolve, 300))
        await write(1, 'still here\n')
        return { code: 3 }
      }),
    },
    ['head -c 0'],
    { input: Buffer.alloc(30 * 1024 * 1024), first: ['-o', 'LogLevel=DEBUG2'] },
  )
  expect(result.stderr.toString()).toContain('rcvd eow')
  expect(result.stdout.toString()).toBe('still here\n')
  expect(result.code).toBe(3)
})

test('the channel half-closes: output goes on after the client’s EOF', async () => {
  const result = await single(
    {
      session: program(async (session, write) => {
        let length = 0
        for await (const chunk of session.stdin) length += chunk.length
        await new Promise((resolve) => setTimeout(resolve, 100))
        await write(1, `${length}\n`)
        return { code: 0 }
      }),
    },
    ['wc -c'],
    { input: 'abc' },
  )
  expect(result.stdout.toString()).toBe('3\n')
})

test('a second connection over any duplex stream works like a socket', async () => {
  server = await startServer({
    session: program(async (_session, write) => {
      await write(1, 'hi')
      return { code: 0 }
    }),
  })
  const relay = createServer((socket) => {
    void server.server.inject(
      Duplex.from({ readable: socket, writable: socket }),
      { address: '10.1.2.3', port: 4 },
      { address: '10.0.0.1', port: 22 },
    )
  })
  relay.listen(0, '127.0.0.1')
  await once(relay, 'listening')
  const address = relay.address()
  const port = typeof address === 'object' ? address?.port : 0
  const result = await ssh(server, ['true'], { first: ['-p', String(port)] })
  expect(result.stdout.toString()).toBe('hi')
  expect(server.connections[0]?.remote).toEqual({ address: '10.1.2.3', port: 4 })
  relay.close()
})
