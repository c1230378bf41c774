import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Exec } from '../../src/engine/engine.ts'
import { execIn } from '../../src/engine/exec-in.ts'
import { until } from '../support/wait.ts'
import type { Promised } from './contract-bench.ts'
import { endEndless, endless, rootOf, runIn } from './run.ts'

const sha = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, value) => value))

export function streamTests(promised: Promised): void {
  promised('keeps stdout and stderr apart', async ({ engine, id }) => {
    const ran = await runIn(engine, id, ['sh', '-c', 'echo out; echo err >&2; echo out2; echo err2 >&2'])
    expect([ran.text, ran.err.toString(), ran.status]).toEqual(['out\nout2\n', 'err\nerr2\n', { code: 0 }])
  })

  promised('carries every byte value both ways', async ({ engine, id }) => {
    const stdin = Buffer.concat([ALL_BYTES, Buffer.from([0, 255, 13, 10, 4, 3]), ALL_BYTES])
    const ran = await runIn(engine, id, ['sh', '-c', 'tee /dev/stderr'], { stdin })
    expect(ran.out.equals(stdin)).toBe(true)
    expect(ran.err.equals(stdin)).toBe(true)
  })

  promised('carries 20 MB there and back unchanged', async ({ engine, id }) => {
    const stdin = randomBytes(20 * 1024 * 1024)
    const ran = await runIn(engine, id, ['cat'], { stdin })
    expect(ran.out.length).toBe(stdin.length)
    expect(sha(ran.out)).toBe(sha(stdin))
    expect(ran.status).toEqual({ code: 0 })
  })

  promised('has taken a chunk when write returns: it was lent', async ({ engine, id }) => {
    const stdin = randomBytes(8 * 1024 * 1024)
    const lent = Buffer.alloc(32 * 1024)
    const during = async ({ stdin: to }: Exec) => {
      for (let at = 0; at < stdin.length; at += lent.length) {
        stdin.copy(lent, 0, at)
        const taken = new Promise<void>((resolve) => to.write(lent, () => resolve()))
        lent.fill(0)
        await taken
      }
      to.end()
    }
    const ran = await runIn(engine, id, ['cat'], { stdin: null, during })
    expect(sha(ran.out)).toBe(sha(stdin))
  })

  promised('closes stdin and still brings what comes after', async ({ engine, id }) => {
    const ran = await runIn(engine, id, ['sh', '-c', 'cat >/dev/null; sleep 0.3; echo after; exit 6'], { stdin: 'x' })
    expect([ran.text, ran.status]).toEqual(['after\n', { code: 6 }])
  })

  promised('takes stdin that ends before the program reads', async ({ engine, id }) => {
    const ran = await runIn(engine, id, ['sh', '-c', 'sleep 0.5; wc -c'], { stdin: Buffer.alloc(50_000, 'a') })
    expect(ran.text.trim()).toBe('50000')
  })

  promised('takes input for a program that reads none of it', async ({ engine, id }) => {
    const ran = await runIn(engine, id, ['sh', '-c', 'exec <&-; exit 9'], { stdin: randomBytes(5 * 1024 * 1024) })
    expect(ran.status).toEqual({ code: 9 })
  })

  promised('leaves a program alone whose stdin stays open', async ({ engine, id }) => {
    const ran = await runIn(engine, id, ['sh', '-c', 'sleep 0.2; echo done; exit 2'], { stdin: null })
    expect([ran.text, ran.status]).toEqual(['done\n', { code: 2 }])
  })

  promised('waits for a program that closed its own output', async ({ engine, id }) => {
    const ran = await runIn(engine, id, ['sh', '-c', 'exec >&- 2>&-; sleep 1; exit 3'])
    expect(ran.status).toEqual({ code: 3 })
  })

  promised('tells exit codes from 0 to 255', async ({ engine, id }) => {
    for (const code of [0, 1, 2, 42, 125, 126, 127, 128, 137, 143, 255]) {
      const ran = await runIn(engine, id, ['sh', '-c', `exit ${code}`])
      expect([ran.status, ran.err.toString(), ran.error?.message]).toEqual([{ code }, '', undefined])
    }
  })

  promised('does not take a program for the engine because of its words', async ({ engine, id }) => {
    const words = 'OCI runtime exec failed: exec failed: "x": executable file not found in $PATH'
    const daemon = 'Error response from daemon: No such container: x'
    const script = `echo '${words}'; echo '${daemon}' >&2; exit 1`
    const ran = await runIn(engine, id, ['sh', '-c', script])
    expect([ran.text, ran.err.toString(), ran.status]).toEqual([`${words}\n`, `${daemon}\n`, { code: 1 }])
    const slow = await runIn(engine, id, ['sh', '-c', `echo '${words}'; sleep 3; echo more; exit 126`])
    expect([slow.text, slow.status]).toEqual([`${words}\nmore\n`, { code: 126 }])
  })

  promised('stops a producer whose output nobody takes, in bounded memory', async ({ engine, ground, id }) => {
    let given = 0
    let sinceRefused = 0
    let accept = false
    const sink = {
      write(_fd: 1 | 2, chunk: Buffer) {
        given += chunk.length
        if (!accept) sinceRefused += chunk.length
        return accept
      },
    }
    const spec = { argv: endless('exec cat /dev/zero'), user: rootOf(engine), cwd: '/', env: [] }
    const before = process.memoryUsage().rss
    const exec = await execIn(engine, id, spec, sink, AbortSignal.timeout(20_000))
    try {
      await until('first output', () => given > 0, 10_000)
      await delay(1500)
      const held = sinceRefused
      expect(held).toBeLessThan(512 * 1024)
      await delay(500)
      expect(sinceRefused).toBe(held)
      expect(process.memoryUsage().rss - before).toBeLessThan(32 * 1024 * 1024)
      accept = true
      exec.resume()
      await until('it goes on', () => given > held + 8 * 1024 * 1024, 15_000)
    } finally {
      exec.close()
      await endEndless(ground, id)
    }
  })

  promised('loses nothing to a sink that refuses every chunk', async ({ engine, id }) => {
    const hash = createHash('sha256')
    let size = 0
    let resume = () => {}
    const sink = {
      write(_fd: 1 | 2, chunk: Buffer) {
        hash.update(chunk)
        size += chunk.length
        setImmediate(() => resume())
        return false
      },
    }
    const script = 'i=0; while [ $i -lt 200 ]; do head -c 20000 /dev/zero | tr "\\0" x; i=$((i+1)); done'
    const spec = { argv: ['sh', '-c', script] as const, user: rootOf(engine), cwd: '/', env: [] }
    const exec = await execIn(engine, id, spec, sink, AbortSignal.timeout(20_000))
    resume = exec.resume
    exec.stdin.end()
    expect(await exec.exit).toEqual({ code: 0 })
    expect(size).toBe(4_000_000)
    expect(hash.digest('hex')).toBe(sha(Buffer.alloc(4_000_000, 'x')))
  })

  promised('makes a writer wait when the program does not read', async ({ engine, ground, id }) => {
    const sink = { write: () => true }
    const spec = { argv: ['sleep', '100'] as const, user: rootOf(engine), cwd: '/', env: [] }
    const before = process.memoryUsage().rss
    const exec = await execIn(engine, id, spec, sink, AbortSignal.timeout(20_000))
    let feeding = true
    try {
      let taken = 0
      const chunk = Buffer.alloc(64 * 1024)
      const feed = () => {
        exec.stdin.write(chunk, () => {
          taken += chunk.length
          if (feeding) feed()
        })
      }
      feed()
      let last = -1
      await until(
        'it stops taking',
        async () => {
          last = taken
          await delay(700)
          return taken === last
        },
        20_000,
      )
      expect(taken).toBeLessThan(ground.heldInputBytes ?? 16 * 1024 * 1024)
      expect(exec.stdin.writableLength).toBeGreaterThan(0)
      expect(process.memoryUsage().rss - before).toBeLessThan(32 * 1024 * 1024)
    } finally {
      // First: what is closed takes everything at once, and the feeder would never let go.
      feeding = false
      exec.close()
    }
  })
}
