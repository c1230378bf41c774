/** The data and memory bugs of stock ssh2 (B1-B7), each shown on stock where it can be, and gone in the layer. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, test } from 'vitest'
import type { SshSession } from '../../src/ssh/session.ts'
import { connectPeer, fields, HIDE_CHANNELS, Message, openSession, packet } from './peer.ts'
import { program, start, startServer, type TestServer } from './support.ts'

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

let server: TestServer | undefined
const children: ChildProcess[] = []

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await server?.close()
  server = undefined
})

interface Target {
  readonly port: number
  readonly options: readonly string[]
  readonly keyFile: string
  /** Bytes the server's process holds. */
  memory(): number
}

/** The scenarios of stock.mjs on the layer. */
async function layer(): Promise<Target> {
  server = await startServer({
    session: (session, connection) => {
      const command = session.start.kind === 'exec' ? session.start.command.toString() : ''
      const [name = '', ...args] = command.split(' ')
      return scenario(name, args.map(Number))(session, connection)
    },
  })
  return {
    port: server.port,
    options: server.options,
    keyFile: join(server.folder.path, 'user'),
    memory: () => {
      // What is held, not what is not collected yet.
      collect()
      const { heapUsed, external } = process.memoryUsage()
      return heapUsed + external
    },
  }
}

function scenario(name: string, [first = 0, second = 0]: number[]) {
  const run: Record<string, Parameters<typeof program>[0]> = {
    'mixed-output': async (_session, write) => {
      const chunk = Buffer.alloc(second, 'x')
      for (let i = 0; i < first; i++) {
        await write(1, chunk)
        await write(2, `line ${i}\n`)
      }
      return { code: 0 }
    },
    'stderr-then-exit': async (session) => {
      session.write(2, Buffer.alloc(first, 'e'))
      return { code: 0 }
    },
    zeros: async (_session, write) => {
      const chunk = Buffer.alloc(64 * 1024)
      for (let left = first; left > 0; left -= chunk.length) {
        await write(1, chunk)
        if (left % (1024 * 1024) === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      return { code: 0 }
    },
    'read-nothing': (session: SshSession) =>
      new Promise((resolve) => session.closed.addEventListener('abort', () => resolve({ code: 0 }))),
  }
  const found = run[name]
  if (!found) throw new Error(`no scenario ${name}`)
  return (session: SshSession, _connection: unknown) => program(found)(session)
}

async function stock(): Promise<Target> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'stock.mjs')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  const [line] = await once(child.stdout, 'data')
  // Only for its keys and files; the client is pointed at the other port.
  server = await startServer()
  const port = Number(String(line))
  return {
    port,
    options: ['-p', String(port), ...server.options],
    keyFile: join(server.folder.path, 'user'),
    memory: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) * 1024,
  }
}

/** Runs a scenario in the real client, whose output is read slowly at first, so that its window fills. */
async function slowly(target: Target, command: string, limit = 20_000) {
  const child = start('ssh', [...target.options, '127.0.0.1', command])
  children.push(child)
  const { stdout, stderr } = child
  if (!stdout || !stderr) throw new Error('no pipes')
  const errors: Buffer[] = []
  let bytes = 0
  stderr.on('data', (chunk: Buffer) => errors.push(chunk))
  stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes < 2 * 1024 * 1024) {
      stdout.pause()
      setTimeout(() => stdout.resume(), 20)
    }
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), limit)
  const [code] = await once(child, 'close')
  clearTimeout(timer)
  const text = Buffer.concat(errors).toString()
  return { code, bytes, errorBytes: text.length, lines: text.split('\n').filter((line) => /^line \d+$/.test(line)) }
}

describe('B1, B2: stdout and stderr together with a slow reader', () => {
  const ROUNDS = 60
  const SIZE = 300_000
  const command = `mixed-output ${ROUNDS} ${SIZE}`
  const all = Array.from({ length: ROUNDS }, (_, i) => `line ${i}`)

  test('stock ssh2 loses stderr or stdout, or stalls', async () => {
    const { code, bytes, lines } = await slowly(await stock(), command, 10_000)
    expect({ code, bytes, lines: lines.length }).not.toEqual({ code: 0, bytes: ROUNDS * SIZE, lines: ROUNDS })
  })

  test('nothing is lost, nothing comes twice, nothing stalls', async () => {
    const result = await slowly(await layer(), command)
    expect(result.code).toBe(0)
    expect(result.bytes).toBe(ROUNDS * SIZE)
    expect(result.lines).toEqual(all)
  })
})

describe('B3: 5 MB of stderr, then the exit', () => {
  const SIZE = 5_000_000
  const command = `stderr-then-exit ${SIZE}`

  test('stock ssh2 cuts it at the window', async () => {
    const { errorBytes } = await slowly(await stock(), command)
    expect(errorBytes).toBeLessThan(SIZE)
  })

  test('all of it arrives', async () => {
    const { code, errorBytes } = await slowly(await layer(), command)
    expect(errorBytes).toBe(SIZE)
    expect(code).toBe(0)
  })
})

describe('B5: an exit code of null', () => {
  test('takes the process of stock ssh2 down', async () => {
    const target = await stock()
    await slowly(target, 'no-exit-code', 5_000)
    await expect.poll(() => children[0]?.exitCode).not.toBe(null)
  })
})

const MB = 1024 * 1024

/** The most a target holds above its start while `until` is pending. */
async function growth(target: Target, until: Promise<unknown>): Promise<number> {
  const idle = target.memory()
  let most = 0
  const timer = setInterval(() => {
    most = Math.max(most, target.memory() - idle)
  }, 20)
  await until
  clearInterval(timer)
  return most
}

function hostile(target: Target, mode: string, megabytes: number): ChildProcess {
  const args = [join(import.meta.dirname, 'hostile.mjs'), mode, String(target.port), target.keyFile, String(megabytes)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  return child
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

describe('B4: a client that gives 4 GiB of window and stops reading', () => {
  test('makes stock ssh2 hold what it does not read', async () => {
    const target = await stock()
    const idle = target.memory()
    hostile(target, 'stop-reading', 300)
    await expect.poll(() => target.memory() - idle, { timeout: 20_000 }).toBeGreaterThan(100 * MB)
  })

  test('costs less than 32 MB of a 1 GB download', async () => {
    const target = await layer()
    const child = hostile(target, 'stop-reading', 1024)
    await once(child.stdout as NodeJS.ReadableStream, 'data')
    expect(await growth(target, pause(3_000))).toBeLessThan(32 * MB)
  })
})

test('B4: a stalled OpenSSH client costs less than 32 MB of a 1 GB download', async () => {
  const target = await layer()
  const child = start('ssh', [...target.options, '127.0.0.1', `zeros ${1024 * MB}`])
  children.push(child)
  await once(child.stdout as NodeJS.ReadableStream, 'readable')
  expect(await growth(target, pause(3_000))).toBeLessThan(32 * MB)
})

describe('B4: a client that ignores our window', () => {
  test('makes stock ssh2 hold hundreds of megabytes', async () => {
    const target = await stock()
    const child = hostile(target, 'ignore-window', 300)
    const line = once(child.stdout as NodeJS.ReadableStream, 'data')
    expect(await growth(target, line)).toBeGreaterThan(100 * MB)
  })

  test('is disconnected, at a cost below 32 MB', async () => {
    const target = await layer()
    const child = hostile(target, 'ignore-window', 300)
    expect(await growth(target, once(child, 'close'))).toBeLessThan(32 * MB)
    expect(server?.events).toContainEqual(expect.objectContaining({ reason: 'peer ignored channel window' }))
  })
})

test('B4: one-byte packets that nobody reads cost little more than their bytes', async () => {
  const target = await layer()
  const peer = await connectPeer(server as TestServer, { hide: HIDE_CHANNELS })
  const channel = await openSession(peer)
  channel.request('exec', false, fields('read-nothing'))
  const byte = Buffer.of(1)
  const idle = target.memory()
  for (let i = 0; i < 50; i++) {
    for (let j = 0; j < 1000; j++) channel.data(byte)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await pause(500)
  peer.close()
  // 50 kB, a fortieth of the window: an object for each would be 10 MB, and 400 MB for a full window.
  expect(target.memory() - idle).toBeLessThan(4 * MB)
})

test('B7: who waits for a drain hears of it when the client closes the channel', async () => {
  let drained = 0
  let answer = true
  let session: SshSession | undefined
  server = await startServer({
    session: (opened) => {
      session = opened
      opened.accept()
      opened.listen({ drain: () => drained++ })
      answer = opened.write(1, Buffer.alloc(100_000))
    },
  })
  const peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  const channel = await openSession(peer, { window: 1000 })
  channel.request('shell', true)
  await peer.next(Message.CHANNEL_DATA)
  expect(answer).toBe(false)
  expect(drained).toBe(0)
  const flushed = session?.exit({ code: 0 })
  peer.send(packet(Message.CHANNEL_CLOSE, channel.id))
  await flushed
  await expect.poll(() => drained).toBe(1)
  peer.close()
})

test('never sends more than the window, nor packets larger than the client takes', async () => {
  server = await startServer({
    session: program(async (_session, write) => {
      await write(1, Buffer.alloc(10_000, 'a'))
      await write(2, Buffer.alloc(10_000, 'b'))
      return { code: 0 }
    }),
  })
  const peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  const channel = await openSession(peer, { window: 3000, packetSize: 700 })
  channel.request('shell', false)
  let window = 3000
  const received = { a: 0, b: 0 }
  while (received.a + received.b < 20_000) {
    const { type, reader } = await peer.next(Message.CHANNEL_DATA, Message.CHANNEL_EXTENDED_DATA)
    reader.u32()
    if (type === Message.CHANNEL_EXTENDED_DATA) reader.u32()
    const bytes = reader.string()
    expect(bytes.length).toBeLessThanOrEqual(700)
    window -= bytes.length
    expect(window).toBeGreaterThanOrEqual(0)
    received[type === Message.CHANNEL_DATA ? 'a' : 'b'] += bytes.length
    if (window === 0) {
      peer.send(packet(Message.CHANNEL_WINDOW_ADJUST, channel.id, 1234))
      window = 1234
    }
  }
  expect(received).toEqual({ a: 10_000, b: 10_000 })
  await peer.next(Message.CHANNEL_CLOSE)
  peer.close()
})
