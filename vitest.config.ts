import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 120_000,
    // Two files at once: the tests drive a real engine, which serialises most of its work anyway.
    maxWorkers: 2,
    pool: 'forks',
    // Real clients, engines and clocks: on a busy machine a wait can run out. What fails thrice is broken.
    retry: process.env.CI ? 2 : 0,
  },
})
