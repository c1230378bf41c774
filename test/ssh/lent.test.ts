/** Input is read into one buffer for all connections and lent: what has to wait must not see the next one's bytes. */
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { createStdin } from '../../src/engine/stdin.ts'
import { pump } from '../../src/session/pump.ts'
import type { SshSession } from '../../src/ssh/session.ts'
import { startServer, type TestServer } from './support.ts'

const SIZE = 3_000_000
let server: TestServer | undefined

afterEach(async () => {
  await server?.close()
  server = undefined
})

/** Delivers each packet without its tag, and that with the next one's first bytes. Their lengths are in the clear. */
async function apart(from: Socket, to: Socket, tag: number): Promise<void> {
  let rest = Buffer.alloc(0)
  let identified = false
  let encrypted = false
  for await (const chunk of from) {
    rest = Buffer.concat([rest, chunk])
    if (!identified) {
      const end = rest.indexOf('\n') + 1
      if (end === 0) continue
      to.write(rest.subarray(0, end))
      rest = rest.subarray(end)
      identified = true
    }
    while (rest.length > 4) {
      const end = 4 + rest.readUInt32BE(0)
      const whole = end + (encrypted ? tag : 0)
      if (rest.length < whole) break
      to.write(rest.subarray(0, end))
      await new Promise((resolve) => setImmediate(resolve))
      to.write(rest.subarray(end, whole))
      // NEWKEYS, RFC 4253 §7.3.
      encrypted ||= rest[5] === 21
      rest = rest.subarray(whole)
    }
  }
  to.end()
}

async function proxyTo(port: number, tag: number): Promise<{ port: number; close(): void }> {
  const proxy = createServer({ noDelay: true, pauseOnConnect: true }, (from) => {
    const to = connect({ port, host: '127.0.0.1', noDelay: true })
    to.pipe(from)
    from.on('error', () => to.destroy())
    to.on('error', () => from.destroy())
    void apart(from, to, tag).catch(() => to.destroy())
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const address = proxy.address()
  if (address === null || typeof address === 'string') throw new Error('not a TCP address')
  return { port: address.port, close: () => proxy.close() }
}

const hashing = {
  /** Taken as it comes, and now and then not at once. */
  poured: (session: SshSession) =>
    new Promise<string>((resolve) => {
      const hash = createHash('sha256')
      let writes = 0
      const input = session.pour({
        write(chunk) {
          hash.update(chunk)
          writes++
          if (writes % 7 > 0) return true
          void delay(1).then(() => input.resume())
          return false
        },
        end: () => resolve(hash.digest('hex')),
      })
    }),
  /** As a program's stdin that takes less than comes. */
  pumped: async (session: SshSession) => {
    const hash = createHash('sha256')
    const slow = new Writable({
      write(chunk: Buffer, _encoding, done) {
        hash.update(chunk)
        void delay(2).then(() => done())
      },
    })
    const exec = {
      stdin: createStdin(slow, false),
      exit: once(slow, 'finish').then(() => ({ code: 0 })),
      resume() {},
      resize() {},
      signal: () => false,
      close() {},
    }
    await pump(session, async () => exec, { addIn() {}, addOut() {} })
    return hash.digest('hex')
  },
  read: async (session: SshSession) => {
    const kept: Buffer[] = []
    for await (const chunk of session.stdin) {
      kept.push(chunk)
      if (kept.length % 7 === 0) await delay(1)
    }
    return createHash('sha256').update(Buffer.concat(kept)).digest('hex')
  },
}

test.each([
  ['poured', 'aes128-gcm@openssh.com', 16],
  ['poured', 'aes128-ctr', 32],
  ['pumped', 'aes128-gcm@openssh.com', 16],
  ['read', 'aes128-gcm@openssh.com', 16],
] as const)('%s, over %s: four clients whose packets come in two pieces mix no bytes', async (way, cipher, tag) => {
  server = await startServer({
    session: async (session) => {
      session.accept()
      session.write(1, Buffer.from(await hashing[way](session)))
      await session.exit({ code: 0 })
    },
  })
  const proxy = await proxyTo(server.port, tag)
  const port = String(server.port)
  const options = server.options.map((option) => option.replace(port, String(proxy.port)))
  try {
    const clients = [1, 2, 3, 4].map(async () => {
      const bytes = randomBytes(SIZE)
      const client = spawn(
        'ssh',
        [...options, '-c', cipher, '-m', 'hmac-sha2-256-etm@openssh.com', '-o', 'RekeyLimit=1M', '127.0.0.1', 'x'],
        {
          stdio: ['pipe', 'pipe', 'inherit'],
        },
      )
      client.stdin.on('error', () => {})
      client.stdin.end(bytes)
      expect(await text(client.stdout)).toBe(createHash('sha256').update(bytes).digest('hex'))
    })
    await Promise.all(clients)
  } finally {
    proxy.close()
  }
})
