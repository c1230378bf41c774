import { expect, test } from 'vitest'
import { deferred } from '../../src/lifetime/deferred.ts'
import { createReadiness } from '../../src/observe/readiness.ts'

test('a check that throws is told with its sentence, on one printable line', async () => {
  const readiness = createReadiness()
  readiness.add('good', () => {})
  readiness.add('bad', async () => {
    throw new Error('no\nengine \u001b[2J')
  })
  expect(readiness.known()).toEqual([])
  const found = [{ check: 'good' }, { check: 'bad', reason: 'no engine  [2J' }]
  expect(await readiness.ask()).toEqual(found)
  expect(readiness.known()).toEqual(found)
})

test('however many ask, a check runs once, and what it found holds for a moment', async () => {
  const readiness = createReadiness()
  const answer = deferred()
  let asked = 0
  readiness.add('engine', () => {
    asked++
    return answer.promise
  })
  const all = Promise.all([readiness.ask(), readiness.ask(), readiness.ask()])
  await Promise.resolve()
  answer.resolve()
  expect(await all).toEqual(Array(3).fill([{ check: 'engine' }]))
  await readiness.ask()
  expect(asked).toBe(1)
})

test('one that hangs is answered for within its limit, and is not asked again before it has ended', async () => {
  const readiness = createReadiness(50)
  const answer = deferred()
  let asked = 0
  const signals: AbortSignal[] = []
  readiness.add('engine', (signal) => {
    asked++
    signals.push(signal)
    return answer.promise
  })
  const hangs = [{ check: 'engine', reason: 'no answer within 0.05 s' }]
  expect(await readiness.ask()).toEqual(hangs)
  expect(signals[0]?.aborted).toBe(true)
  await new Promise((resolve) => setTimeout(resolve, 1_100))
  expect(await readiness.ask()).toEqual(hangs)
  expect(asked).toBe(1)
  answer.resolve()
  await answer.promise
  await expect.poll(() => readiness.ask()).toEqual([{ check: 'engine' }])
  expect(asked).toBe(2)
})

test('what blocks is told at once, without asking, until it is gone', async () => {
  const readiness = createReadiness()
  let asked = 0
  const answer = deferred()
  readiness.add('engine', () => {
    asked++
    return answer.promise
  })
  const early = readiness.ask()
  readiness.block('draining', 'the gateway is shutting down')
  const blocked = [{ check: 'draining', reason: 'the gateway is shutting down' }]
  expect(await readiness.ask()).toEqual(blocked)
  expect(asked).toBe(1)
  answer.resolve()
  expect(await early).toEqual(blocked)
  expect(readiness.known()).toEqual([...blocked, { check: 'engine' }])
  readiness.block('draining')
  expect(await readiness.ask()).toEqual([{ check: 'engine' }])
})
