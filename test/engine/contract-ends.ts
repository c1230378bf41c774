import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'vitest'
import { execIn } from '../../src/engine/exec-in.ts'
import { until } from '../support/wait.ts'
import type { Bench, Promised } from './contract-bench.ts'
import { endEndless, endless, rootOf, runIn } from './run.ts'

const LOOP = endless('echo ready; while :; do sleep 0.1; done')

/** Run until `act` ends the container under it. */
function under({ engine }: Bench, id: string, act: () => Promise<unknown>, tty?: { cols: number; rows: number }) {
  return runIn(engine, id, LOOP, {
    stdin: null,
    ...(tty && { tty }),
    async during(_exec, { out }) {
      await until('the program runs', () => out().includes('ready'), 10_000)
      await act()
    },
  })
}

export function endTests(promised: Promised): void {
  promised(
    'refuses a container that is stopped, paused or not there, in clear words',
    async ({ engine, ground, container }) => {
      const { id, name } = await container()
      await engine.inspect(id, AbortSignal.timeout(10_000))
      await ground.control('pause', id)
      const paused = await runIn(engine, id, ['true'])
      expect([paused.error?.code, paused.error?.message]).toEqual([
        'CONTAINER_NOT_RUNNING',
        `container ${name} is paused`,
      ])
      await ground.control('unpause', id)
      await ground.control('kill', id)
      const stopped = await runIn(engine, id, ['true'])
      expect([stopped.error?.code, stopped.error?.message]).toEqual([
        'CONTAINER_NOT_RUNNING',
        `container ${name} is stopped`,
      ])
      await ground.control('rm', '-f', id)
      expect((await runIn(engine, id, ['true'])).error?.code).toBe('CONTAINER_NOT_FOUND')
      expect((await runIn(engine, id, ['true'], { tty: { cols: 80, rows: 24 } })).error?.code).toBe(
        'CONTAINER_NOT_FOUND',
      )
    },
  )

  promised('refuses a container that keeps restarting', async ({ engine, ground, container }) => {
    const { id } = await container('--restart', 'always', '--entrypoint', '/bin/false')
    await engine.inspect(id, AbortSignal.timeout(10_000))
    // Docker doubles the pause each time: after the fifth it is seconds long, and nothing starts in between.
    const state = () => ground.control('inspect', '-f', '{{.State.Status}} {{.RestartCount}}', id)
    await until('it restarts', async () => /^restarting ([5-9]|\d\d)/i.test(await state()), 30_000)
    const ran = await runIn(engine, id, ['true'])
    await ground.control('rm', '-f', id)
    expect(ran.error?.message).toMatch(/^container hw-test-\S+ (is restarting|was restarted)$/)
  })

  for (const [how, args, words] of [
    ['stopped', ['stop', '-t', '1'], /^was stopped$/],
    ['killed', ['kill'], /^was killed$/],
    ['removed', ['rm', '-f'], /^was removed$/],
    // A restart is a stop until the start that follows it.
    ['restarted', ['restart', '-t', '1'], /^was (restarted|stopped)$/],
  ] as const) {
    promised(`says CONTAINER_GONE when the container is ${how} under a program`, async (bench) => {
      const { id, name } = await bench.container()
      await bench.engine.inspect(id, AbortSignal.timeout(10_000))
      const ran = await under(bench, id, () => bench.ground.control(...args, id))
      expect([ran.status, ran.error?.code]).toEqual([undefined, 'CONTAINER_GONE'])
      expect(ran.error?.message.replace(`container ${name} `, '')).toMatch(words)
    })
  }

  promised('says CONTAINER_GONE on a terminal, too', async (bench) => {
    const { id } = await bench.container()
    const ran = await under(bench, id, () => bench.ground.control('kill', id), { cols: 80, rows: 24 })
    expect(ran.error?.code).toBe('CONTAINER_GONE')
  })

  promised('takes a program killed alone for nothing but that', async ({ engine, id }) => {
    expect((await runIn(engine, id, ['sh', '-c', 'kill -9 $$'])).status).toEqual({ code: 137 })
  })

  promised('lives through a pause', async (bench) => {
    const { id } = await bench.container()
    const ran = await runIn(bench.engine, id, ['sh', '-c', 'echo ready; read x; echo "got $x"; exit 3'], {
      stdin: null,
      async during(exec, { out }) {
        await until('the program runs', () => out().includes('ready'), 10_000)
        await bench.ground.control('pause', id)
        exec.stdin.write('word\n')
        await delay(500)
        await bench.ground.control('unpause', id)
      },
    })
    expect([ran.text, ran.status]).toEqual(['ready\ngot word\n', { code: 3 }])
  })

  promised('settles at once when it is closed while the program runs', async ({ engine, ground, id }) => {
    try {
      for (const tty of [undefined, { cols: 80, rows: 24 }]) {
        const spec = { argv: LOOP, user: rootOf(engine), cwd: '/', env: [], ...(tty && { tty }) }
        let said = ''
        const sink = {
          write(_fd: 1 | 2, chunk: Buffer) {
            said += chunk.toString()
            return true
          },
        }
        const exec = await execIn(engine, id, spec, sink, AbortSignal.timeout(20_000))
        await until('the program runs', () => said.includes('ready'), 10_000)
        const before = Date.now()
        exec.close()
        exec.close()
        expect(await exec.exit).toEqual({ signal: 'HUP', coreDumped: false })
        expect(Date.now() - before).toBeLessThan(3000)
        exec.stdin.write('nobody reads this')
        exec.resize({ cols: 1, rows: 1 })
        exec.resume()
      }
    } finally {
      await endEndless(ground, id)
    }
  })

  promised('settles at once when it is closed while nobody takes its output', async ({ engine, ground, id }) => {
    const closeWhileItIsStalled = async (tty: { cols: number; rows: number } | undefined) => {
      const argv = endless('while :; do echo more and more; done')
      const spec = { argv, user: rootOf(engine), cwd: '/', env: [], ...(tty && { tty }) }
      let bytes = 0
      const sink = {
        write(_fd: 1 | 2, chunk: Buffer) {
          bytes += chunk.length
          return false
        },
      }
      const exec = await execIn(engine, id, spec, sink, AbortSignal.timeout(20_000))
      await until('output', () => bytes > 0, 10_000)
      // Until every pipe on the way is full.
      await delay(1000)
      const taken = bytes
      exec.close()
      const late = delay(3000, 'not within 3 s')
      expect(await Promise.race([exec.exit, late])).toEqual({ signal: 'HUP', coreDumped: false })
      await late
      expect(bytes).toBe(taken)
    }
    try {
      await Promise.all([undefined, { cols: 80, rows: 24 }].map(closeWhileItIsStalled))
    } finally {
      await endEndless(ground, id)
    }
  })

  promised('starts nothing for a client that is gone already', async ({ engine, id }) => {
    const spec = { argv: ['true'] as const, user: rootOf(engine), cwd: '/', env: [] }
    const start = execIn(engine, id, spec, { write: () => true }, AbortSignal.abort(new Error('client gone')))
    await expect(start).rejects.toThrow('client gone')
  })
}
