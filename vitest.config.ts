import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 120_000,
    // Two files at once: the tests drive a real engine, which serialises most of its work anyway.
    maxWorkers: 2,
    pool: 'forks',
  },
})
