import { expect, test, vi } from 'vitest'
import { createGoingCheck } from '../../src/engine/going.ts'

const event = (action: string) => ({ action, id: 'a'.repeat(64) })

test('an engine that stops a container and takes no connections is going; it is asked once a second', async () => {
  vi.useFakeTimers()
  let reachable = true
  let asked = 0
  const isGoing = createGoingCheck(async () => {
    asked++
    return reachable
  })
  expect(await isGoing(event('start'))).toBe(false)
  expect(asked).toBe(0)
  for (let i = 0; i < 100; i++) expect(await isGoing(event('kill'))).toBe(false)
  expect(asked).toBe(1)
  reachable = false
  vi.advanceTimersByTime(1000)
  expect(await isGoing(event('kill'))).toBe(true)
  vi.useRealTimers()
})
