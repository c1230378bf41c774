/** The seam as a test suite: every driver runs it whole, but for what it skips with a reason. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Finding, keepFindings } from '../run/results.ts'
import type { Bench, Ground, Promised } from './contract-bench.ts'
import { containerTests } from './contract-containers.ts'
import { copyTests } from './contract-copy.ts'
import { endTests } from './contract-ends.ts'
import { lifecycleTests } from './contract-lifecycle.ts'
import { markTests } from './contract-marks.ts'
import { startTests } from './contract-start.ts'
import { streamTests } from './contract-streams.ts'
import { terminalTests } from './contract-terminal.ts'

export interface Driver {
  readonly name: string
  readonly skip: readonly { readonly reason: string; readonly tests: readonly string[] }[]
  open(): Promise<Ground>
}

/** The columns of the table in docs/engines.md. */
const GROUPS = {
  containers: containerTests,
  streams: streamTests,
  starts: startTests,
  terminals: terminalTests,
  copies: copyTests,
  ends: endTests,
  lifecycle: (promised: Promised) => {
    lifecycleTests(promised)
    markTests(promised)
  },
}

export function contract(driver: Driver): void {
  describe(driver.name, () => {
    const names: string[] = []
    const started: string[] = []
    const findings = new Map<string, Finding>()
    let bench: Bench
    let ground: Ground

    beforeAll(async () => {
      ground = await driver.open()
      const container: Bench['container'] = async (...args) => {
        const name = `hw-test-${process.pid}-${started.length}`
        started.push(name)
        if (ground.container !== undefined) return ground.container(name, args)
        const run = await ground.control('run', '-d', '--name', name, ...args, 'hatchway-busybox:latest')
        const id = run.split('\n').at(-1) ?? ''
        return { id, name: ground.nameOf?.(name) ?? name }
      }
      bench = { engine: ground.engine, ground, container, ...(await container()) }
    })

    afterAll(async () => {
      if (ground === undefined) return
      const { product, version } = await ground.engine.info(AbortSignal.timeout(10_000))
      const found = { suite: 'contract', on: driver.name, engine: `${product} ${version}` } as const
      keepFindings({ ...found, findings: [...findings.values()] })
      if (started.length > 0) await ground.control('rm', '-f', ...started).catch(() => {})
      await ground.close()
    })

    const promisedOf =
      (group: string): Promised =>
      (name, test, limit) => {
        names.push(name)
        const found = (verdict: Finding['verdict'], reason?: string) =>
          findings.set(name, { group, name, verdict, ...(reason !== undefined && { reason }) })
        const skip = driver.skip.find((entry) => entry.tests.includes(name))
        if (skip !== undefined) {
          found('skipped', skip.reason)
          it.skip(`${name} (${skip.reason})`, () => {})
          return
        }
        found('failed')
        it(
          name,
          async () => {
            await test(bench)
            found('passed')
          },
          limit,
        )
      }

    for (const [group, tests] of Object.entries(GROUPS)) tests(promisedOf(group))

    it('skips nothing that does not exist', () => {
      expect(names).toEqual(expect.arrayContaining(driver.skip.flatMap((entry) => [...entry.tests])))
    })
  })
}
