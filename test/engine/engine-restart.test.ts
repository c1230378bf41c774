/** The engine itself goes away under a program, and comes back. */
import { afterEach, describe, expect, it } from 'vitest'
import { createCliEngine } from '../../src/engine/cli/cli.ts'
import { createDockerEngine } from '../../src/engine/docker/docker.ts'
import type { EngineEvent } from '../../src/engine/engine.ts'
import { startDockerd } from '../support/dockerd.ts'
import { until } from '../support/wait.ts'
import { runIn } from './run.ts'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

describe.skipIf(process.getuid?.() !== 0)(
  'an engine that goes and comes back (needs root for a second dockerd)',
  () => {
    for (const [liveRestore, signal] of [
      [true, 'SIGTERM'],
      [true, 'SIGKILL'],
      [false, 'SIGTERM'],
    ] as const) {
      it(`ends programs with ENGINE_LOST and serves again: ${signal}, live-restore ${liveRestore}`, async () => {
        const dockerd = await startDockerd({ liveRestore })
        closers.push(() => dockerd.close())
        const engines = [
          createDockerEngine({ endpoint: dockerd.endpoint }),
          createCliEngine({ binary: dockerd.binary }),
        ]
        closers.push(() => Promise.all(engines.map((engine) => engine.close())))
        const run = ['run', '-d', '--network', 'none', '--stop-timeout', '1', 'hatchway-busybox:latest']
        const id = await dockerd.control(...run)

        const watching = new AbortController()
        closers.push(async () => watching.abort())
        /** Of each driver, what it tells of the engine itself. */
        const told = engines.map((): EngineEvent['type'][] => [])
        engines.forEach((engine, index) => {
          void (async () => {
            for await (const { type } of engine.events(watching.signal))
              if (type !== 'container') told[index]?.push(type)
          })()
        })

        const programs = engines.map(async (engine) => {
          const argv = ['sh', '-c', 'echo ready; sleep 1000'] as const
          let begin = () => {}
          const started = new Promise<void>((resolve) => {
            begin = resolve
          })
          const ran = runIn(engine, id, argv, {
            stdin: null,
            limit: 60_000,
            async during(_exec, { out }) {
              await until('the program runs', () => out().includes('ready'), 20_000)
              begin()
            },
          })
          await started
          return { ran }
        })
        const running = await Promise.all(programs)
        await dockerd.stop(signal)
        for (const { ran } of running) {
          const { status, error } = await ran
          expect(status).toBeUndefined()
          // Without live-restore the containers end first, and an engine still answering says so.
          expect(error?.code).toMatch(liveRestore ? /^ENGINE_LOST$/ : /^(ENGINE_LOST|CONTAINER_GONE)$/)
        }
        for (const engine of engines) {
          expect((await runIn(engine, id, ['true'])).error?.code).toMatch(/^ENGINE_(UNAVAILABLE|LOST)$/)
        }

        await until('it is told', () => told.every((types) => types.length > 0), 15_000)

        await dockerd.start()
        if (!liveRestore) await dockerd.control('start', id)
        for (const engine of engines) {
          expect((await runIn(engine, id, ['echo', 'again'])).text).toBe('again\n')
        }
        await until('the event stream is back', () => told.every((types) => types.length > 1), 15_000)
        expect(told).toEqual([
          ['lost', 'reconnected'],
          ['lost', 'reconnected'],
        ])
      }, 120_000)
    }
  },
)
