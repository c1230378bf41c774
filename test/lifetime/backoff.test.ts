import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createBackoff } from '../../src/lifetime/backoff.ts'

// timers/promises are node's own: only the clock that says how long it was calm is the test's.
beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }))
afterEach(() => void vi.useRealTimers())

const NEVER = new AbortController().signal

/** How many milliseconds each of some attempts waits. */
async function waits(backoff: ReturnType<typeof createBackoff>, attempts: number): Promise<number[]> {
  const took: number[] = []
  for (let i = 0; i < attempts; i++) {
    const began = process.hrtime.bigint()
    await backoff.pause(NEVER)
    took.push(Number(process.hrtime.bigint() - began) / 1e6)
  }
  return took
}

test('no pause before the first attempt, then at least twice as long each time, up to the longest', async () => {
  const took = await waits(createBackoff({ firstMs: 20, longestMs: 50, calmMs: 1000 }), 5)
  for (const [i, least] of [20, 40, 50, 50].entries()) expect(took[i + 1]).toBeGreaterThanOrEqual(least - 2)
  const [first] = await waits(createBackoff({ firstMs: 60_000, longestMs: 60_000, calmMs: 1000 }), 1)
  expect(first).toBeLessThan(1000)
})

test('after a calm the next attempt is a first one', async () => {
  const backoff = createBackoff({ firstMs: 500, longestMs: 60_000, calmMs: 1000 })
  await waits(backoff, 1)
  vi.advanceTimersByTime(999)
  const [before = 0] = await waits(backoff, 1)
  expect(before).toBeGreaterThanOrEqual(498)
  vi.advanceTimersByTime(1000)
  const [after] = await waits(backoff, 1)
  expect(after).toBeLessThan(before)
})

test('a pause ends with its signal, and one that has ended makes no pause', async () => {
  const backoff = createBackoff({ firstMs: 60_000, longestMs: 60_000, calmMs: 60_000 })
  await backoff.pause(NEVER)
  const leaving = new AbortController()
  const paused = backoff.pause(leaving.signal)
  leaving.abort(new Error('left'))
  await expect(paused).rejects.toThrow('left')
  await expect(createBackoff({ firstMs: 1, longestMs: 1, calmMs: 1 }).pause(leaving.signal)).rejects.toThrow('left')
})
