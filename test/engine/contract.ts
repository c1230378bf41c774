/** The seam as a test suite: every driver runs it whole, but for what it skips with a reason. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Bench, Ground, Promised } from './contract-bench.ts'
import { containerTests } from './contract-containers.ts'
import { copyTests } from './contract-copy.ts'
import { endTests } from './contract-ends.ts'
import { lifecycleTests } from './contract-lifecycle.ts'
import { startTests } from './contract-start.ts'
import { streamTests } from './contract-streams.ts'
import { terminalTests } from './contract-terminal.ts'

export interface Driver {
  readonly name: string
  readonly skip: readonly { readonly reason: string; readonly tests: readonly string[] }[]
  open(): Promise<Ground>
}

export function contract(driver: Driver): void {
  describe(driver.name, () => {
    const names: string[] = []
    const started: string[] = []
    let bench: Bench
    let ground: Ground

    beforeAll(async () => {
      ground = await driver.open()
      const container: Bench['container'] = async (...args) => {
        const name = `hw-test-${process.pid}-${started.length}`
        started.push(name)
        const run = await ground.control('run', '-d', '--name', name, ...args, 'hatchway-busybox:latest')
        const id = run.split('\n').at(-1) ?? ''
        return { id, name }
      }
      bench = { engine: ground.engine, ground, container, ...(await container()) }
    })

    afterAll(async () => {
      if (ground === undefined) return
      if (started.length > 0) await ground.control('rm', '-f', ...started).catch(() => {})
      await ground.close()
    })

    const promised: Promised = (name, test, limit) => {
      names.push(name)
      const skip = driver.skip.find((entry) => entry.tests.includes(name))
      if (skip !== undefined) it.skip(`${name} (${skip.reason})`, () => {})
      else it(name, () => test(bench), limit)
    }

    containerTests(promised)
    streamTests(promised)
    startTests(promised)
    terminalTests(promised)
    copyTests(promised)
    endTests(promised)
    lifecycleTests(promised)

    it('skips nothing that does not exist', () => {
      expect(names).toEqual(expect.arrayContaining(driver.skip.flatMap((entry) => [...entry.tests])))
    })
  })
}
