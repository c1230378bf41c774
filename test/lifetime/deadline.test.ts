import { getEventListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { deadline, openDeadline, whileHeard } from '../../src/lifetime/deadline.ts'

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

/** Whether a signal aborts by its limit when garbage was collected while it waited. */
async function firesAfterCollection(make: (source: AbortSignal) => AbortSignal): Promise<boolean> {
  const source = new AbortController()
  const signal = make(source.signal)
  let fired = false
  signal.addEventListener('abort', () => {
    fired = true
  })
  await sleep(20)
  collect()
  collect()
  await sleep(200)
  return fired
}

test('a limit outlives a garbage collection', async () => {
  expect(await firesAfterCollection((source) => deadline(100, source))).toBe(true)
})

test('the first source ends it, with its reason, also when it has aborted before', () => {
  const first = new AbortController()
  const second = new AbortController()
  const signal = deadline(60_000, first.signal, second.signal)
  second.abort('second')
  first.abort('first')
  expect(signal.reason).toBe('second')
  expect(deadline(60_000, first.signal).reason).toBe('first')
})

test('the limit says what it was', async () => {
  const signal = deadline(10)
  await sleep(50)
  expect(signal.reason).toMatchObject({ name: 'TimeoutError', message: 'timeout: nothing within 10 ms' })
})

test('a released limit leaves nothing on its sources and never aborts', async () => {
  const source = new AbortController()
  const limit = openDeadline(10, source.signal)
  expect(getEventListeners(source.signal, 'abort')).toHaveLength(1)
  limit.release()
  expect(getEventListeners(source.signal, 'abort')).toHaveLength(0)
  await sleep(50)
  source.abort()
  expect(limit.signal.aborted).toBe(false)
})

test('a limit with a reason of its own ends with that', async () => {
  const signal = deadline({ ms: 10, reason: () => 'too late' })
  await sleep(50)
  expect(signal.reason).toBe('too late')
})

test('work that is heard of may take longer than its limit, and one that is silent may not', async () => {
  const heardFor = (times: number) =>
    whileHeard({ ms: 200, reason: () => 'silent' }, [], async (signal, heard) => {
      for (let i = 0; i < times; i++) {
        await sleep(50)
        heard()
      }
      await sleep(times < 10 ? 400 : 0)
      return signal.reason
    })
  expect(await Promise.all([heardFor(10), heardFor(0)])).toEqual([undefined, 'silent'])
})

test('what is heard after the end of the work starts no limit again', async () => {
  let late = () => {}
  const signal = await whileHeard(20, [], async (limit, heard) => {
    late = heard
    return limit
  })
  late()
  await sleep(60)
  expect(signal.aborted).toBe(false)
})
