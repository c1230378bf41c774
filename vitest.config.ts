import { defineConfig } from 'vitest/config'
import { testFiles } from './test/run/kinds.ts'
import { LongFirst } from './test/run/order.ts'

const { fast, engine, engines } = testFiles()
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
    // Of `npm run fuzz`.
    coverage: { exclude: ['test/**'], reporter: ['text'], reportOnFailure: true },
    reporters: ['default', './test/run/reporter.ts'],
    projects: [
      { test: { ...common, name: 'fast', include: [...fast], maxWorkers: 4, sequence: { groupOrder: 0 } } },
      {
        test: {
          ...common,
          name: 'engine',
          include: [...engine],
          globalSetup: './test/run/shared.ts',
          // They mostly wait: for engines, real clients and clocks.
          maxWorkers: 5,
          sequence: { groupOrder: 1 },
          // What passes only at the second try is printed at the end (test/run/reporter.ts), and more than three fail the run.
          retry: 1,
        },
      },
      // scripts/engines.sh prepares the machine for these, and asks for them.
      ...(process.env.HATCHWAY_TEST_ENGINES === undefined
        ? []
        : [
            {
              test: {
                ...common,
                name: 'engines',
                include: [...engines],
                globalSetup: './test/run/shared.ts',
                // Each file has an engine or a few of its own.
                maxWorkers: 2,
                retry: 1,
              },
            },
          ]),
    ],
  },
})
