import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'vitest'
import { execIn } from '../../src/engine/exec-in.ts'
import { until } from '../support/wait.ts'
import type { Promised } from './contract-bench.ts'
import { rootOf, runIn } from './run.ts'

const tty = { cols: 121, rows: 37 }

export function terminalTests(promised: Promised): void {
  promised('gives a terminal its size before the first byte', async ({ engine, id }) => {
    for (let round = 0; round < 5; round++) {
      expect((await runIn(engine, id, ['stty', 'size'], { tty })).text).toBe('37 121\r\n')
    }
  })

  promised('gives a terminal its size within half a second', async ({ engine, id }) => {
    expect((await runIn(engine, id, ['sh', '-c', 'sleep 0.5; stty size'], { tty })).text).toBe('37 121\r\n')
  })

  promised('runs on a terminal of unknown size', async ({ engine, id }) => {
    const ran = await runIn(engine, id, ['sh', '-c', 'tty >/dev/null && exit 4'], { tty: { cols: 0, rows: 0 } })
    expect(ran.status).toEqual({ code: 4 })
  })

  promised('resizes, and the last of many sizes wins', async ({ engine, id }) => {
    const script = 'echo ready; read line; stty size; exit 5'
    const ran = await runIn(engine, id, ['sh', '-c', script], {
      tty,
      async during(exec, { out }) {
        await until('the program runs', () => out().includes('ready'), 10_000)
        for (let cols = 50; cols <= 90; cols++) exec.resize({ cols, rows: 20 })
        await delay(1500)
        exec.stdin.write('\r')
      },
    })
    expect(ran.text).toContain('20 90')
    expect(ran.status).toEqual({ code: 5 })
  })

  promised('passes ctrl-p at once and every other byte', async ({ engine, id }) => {
    const bytes = Buffer.from([16, 17, 0, 1, 2, 3, 4, 13, 10, 16, 17, 26, 27, 28, 29, 31, 127, 128, 255])
    const script = 'stty raw -echo; echo ready; exec dd bs=1 count=20 2>/dev/null'
    const ran = await runIn(engine, id, ['sh', '-c', script], {
      tty,
      async during(exec, { out }) {
        await until('the terminal is raw', () => out().includes('ready'), 10_000)
        const before = out().length
        exec.stdin.write(Buffer.from([16]))
        await until('ctrl-p arrives alone', () => out().length > before, 3000)
        for (const byte of bytes) exec.stdin.write(Buffer.from([byte]))
      },
    })
    const at = ran.out.indexOf('ready\n') + 6
    expect(ran.out.subarray(at).toString('hex')).toBe(Buffer.concat([Buffer.from([16]), bytes]).toString('hex'))
  })

  promised('interrupts by ctrl-c', async ({ engine, id }) => {
    const ran = await runIn(engine, id, ['sh', '-c', 'trap "exit 77" INT; echo ready; while :; do sleep 0.1; done'], {
      tty,
      async during(exec, { out }) {
        await until('the program runs', () => out().includes('ready'), 10_000)
        exec.stdin.write(Buffer.from([3]))
      },
    })
    expect(ran.status).toEqual({ code: 77 })
  })

  promised('ends input by EOT and keeps the output coming', async ({ engine, id }) => {
    const ran = await runIn(engine, id, ['sh', '-c', 'cat; sleep 0.5; echo after; exit 8'], {
      tty,
      async during(exec) {
        exec.stdin.write('line\r')
        await delay(300)
        exec.stdin.end()
      },
    })
    expect(ran.text).toContain('after\r\n')
    expect(ran.status).toEqual({ code: 8 })
  })

  promised('echoes input once that was typed before the program ran', async ({ engine, id }) => {
    const ran = await runIn(engine, id, ['sh', '-c', 'sleep 0.3; read x; echo "<$x>"'], {
      tty,
      during: (exec) => void exec.stdin.write('early\r'),
    })
    expect(ran.text.match(/early/g)).toHaveLength(2)
    expect(ran.text).toContain('<early>\r\n')
  })

  promised('loses no output of a terminal whose reader was slow', async ({ engine, id }) => {
    let text = ''
    const sink = {
      write(_fd: 1 | 2, chunk: Buffer) {
        text += chunk.toString('latin1')
        return false
      },
    }
    const spec = { argv: ['sh', '-c', 'seq 1 3000; exit 3'] as const, user: rootOf(engine), cwd: '/', env: [], tty }
    const exec = await execIn(engine, id, spec, sink, AbortSignal.timeout(20_000))
    const timer = setInterval(() => exec.resume(), 400)
    try {
      expect(await exec.exit).toEqual({ code: 3 })
    } finally {
      clearInterval(timer)
      exec.close()
    }
    expect(text.split('\r\n').filter((line) => line !== '')).toEqual(
      Array.from({ length: 3000 }, (_, index) => String(index + 1)),
    )
  })

  promised('takes a large paste without losing a byte', async ({ engine, id }) => {
    const size = 200_000
    const ran = await runIn(engine, id, ['sh', '-c', `stty raw -echo; echo ready; head -c ${size} | md5sum`], {
      tty,
      async during(exec, { out }) {
        await until('the terminal is raw', () => out().includes('ready'), 10_000)
        exec.stdin.write(Buffer.alloc(size, 'p'))
      },
    })
    const { createHash } = await import('node:crypto')
    expect(ran.text).toContain(createHash('md5').update(Buffer.alloc(size, 'p')).digest('hex'))
  })
}
