/** Idle and absolute limits of sessions, by a clock of the test's own. With real clients: test/e2e/limits.test.ts. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { limitTime } from '../../src/session/time-limits.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const MINUTE = 60_000

function start(max: number, idle: number, warning = MINUTE) {
  const said: string[] = []
  const begin = performance.now()
  const at = () => `${Math.round((performance.now() - begin) / 1000)}s`
  const limit = limitTime(
    { sessionMaxTime: max, sessionIdleTimeout: idle, sessionTimeoutWarning: warning },
    (text) => said.push(`${at()} warns: ${text}`),
    (why) => said.push(`${at()} ends: ${why}`),
  )
  limit.start()
  return { limit, said }
}

test('an idle session is warned, and ends after the grace', () => {
  const { said } = start(0, 15 * MINUTE)
  vi.advanceTimersByTime(60 * MINUTE)
  expect(said).toEqual([
    '840s warns: this session ends in 1 minute, unless it is used',
    '900s ends: it was idle for 15 minutes',
  ])
  expect(vi.getTimerCount()).toBe(0)
})

test('a byte before the warning or within the grace begins the time anew', () => {
  const { limit, said } = start(0, 15 * MINUTE)
  vi.advanceTimersByTime(10 * MINUTE)
  limit.touch()
  vi.advanceTimersByTime(14 * MINUTE + 30_000)
  expect(said).toHaveLength(1)
  limit.touch()
  vi.advanceTimersByTime(13 * MINUTE)
  expect(said).toHaveLength(1)
  vi.advanceTimersByTime(2 * MINUTE)
  expect(said.map((line) => line.split(' ')[0])).toEqual(['1440s', '2310s', '2370s'])
})

test('a session that is used ends at its absolute limit, warned before', () => {
  const { limit, said } = start(90 * MINUTE, 15 * MINUTE)
  for (let minute = 0; minute < 120; minute++) {
    vi.advanceTimersByTime(MINUTE)
    limit.touch()
  }
  expect(said).toEqual([
    '5340s warns: this session ends in 1 minute: it may last 1 hour 30 minutes',
    '5400s ends: it lasted 1 hour 30 minutes, which is its limit',
  ])
  expect(vi.getTimerCount()).toBe(0)
})

test('of a short limit, half is the warning', () => {
  const { said } = start(0, 10_000)
  vi.advanceTimersByTime(MINUTE)
  expect(said.map((line) => line.split(':')[0])).toEqual(['5s warns', '10s ends'])
})

test('without limits there are no timers, and after stop() none is left', () => {
  start(0, 0).limit.touch()
  expect(vi.getTimerCount()).toBe(0)
  const { limit, said } = start(MINUTE, MINUTE)
  expect(vi.getTimerCount()).toBe(3)
  limit.stop()
  limit.stop()
  limit.touch()
  limit.start()
  expect(vi.getTimerCount()).toBe(0)
  vi.advanceTimersByTime(10 * MINUTE)
  expect(said).toEqual([])
})
