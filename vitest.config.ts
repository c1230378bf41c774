import { defineConfig } from 'vitest/config'
import { testFiles } from './test/run/kinds.ts'
import { LongFirst } from './test/run/order.ts'

const { fast, engine } = testFiles()
const common = {
  pool: 'forks',
  testTimeout: 30_000,
  hookTimeout: 120_000,
  // A second, which is vitest's, is nothing on a busy machine.
  expect: { poll: { timeout: 15_000 } },
} as const

export default defineConfig({
  test: {
    sequence: { sequencer: LongFirst },
    reporters: ['default', './test/run/reporter.ts'],
    projects: [
      { test: { ...common, name: 'fast', include: [...fast], maxWorkers: 3, sequence: { groupOrder: 0 } } },
      {
        test: {
          ...common,
          name: 'engine',
          include: [...engine],
          globalSetup: './test/run/shared.ts',
          // They mostly wait: for engines, real clients and clocks.
          maxWorkers: 4,
          sequence: { groupOrder: 1 },
          // What passes only at the second try is printed at the end (test/run/reporter.ts), and more than three fail the run.
          retry: 1,
        },
      },
    ],
  },
})
