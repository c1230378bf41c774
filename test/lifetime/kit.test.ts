import { getEventListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { BoundedMap } from '../../src/lifetime/bounded-map.ts'
import { anyOf } from '../../src/lifetime/deadline.ts'
import { deferred } from '../../src/lifetime/deferred.ts'
import { every } from '../../src/lifetime/every.ts'
import { onAbort, unlessAborted } from '../../src/lifetime/on-abort.ts'
import { createScope, opened } from '../../src/lifetime/scope.ts'
import { createKeyedSemaphore, createSemaphore } from '../../src/lifetime/semaphore.ts'

const never = new AbortController().signal

test('a listener that comes after the abort is called, once', () => {
  const calls: unknown[] = []
  onAbort(AbortSignal.abort('gone'), (reason) => calls.push(reason))
  const live = new AbortController()
  onAbort(live.signal, (reason) => calls.push(reason))
  live.abort('later')
  expect(calls).toEqual(['gone', 'later'])
})

test('a listener that was removed is not called and leaves nothing', () => {
  const live = new AbortController()
  const remove = onAbort(live.signal, () => expect.unreachable())
  remove()
  remove()
  expect(getEventListeners(live.signal, 'abort')).toHaveLength(0)
  live.abort()
})

test('many listeners of one signal are no leak to warn of', async () => {
  const warnings: Error[] = []
  const warned = (warning: Error) => warnings.push(warning)
  process.on('warning', warned)
  const live = new AbortController()
  for (let i = 0; i < 100; i++) onAbort(live.signal, () => {})
  await sleep(0)
  process.off('warning', warned)
  expect(warnings).toEqual([])
})

test('a wait ends with its signal, and leaves nothing on it', async () => {
  await expect(unlessAborted(new Promise(() => {}), AbortSignal.abort('now'))).rejects.toBe('now')
  const live = new AbortController()
  expect(await unlessAborted(Promise.resolve(7), live.signal)).toBe(7)
  await sleep(0)
  expect(getEventListeners(live.signal, 'abort')).toHaveLength(0)
})

test('any of several signals aborts with the reason of the first', () => {
  const first = new AbortController()
  const joined = anyOf(first.signal, never)
  expect(joined.aborted).toBe(false)
  first.abort('first')
  expect(joined.reason).toBe('first')
  expect(anyOf(never, AbortSignal.abort('before')).reason).toBe('before')
  expect(getEventListeners(never, 'abort')).toHaveLength(0)
})

test('a deferred is settled once', async () => {
  const answer = deferred<number>()
  answer.resolve(1)
  answer.reject(new Error('late'))
  expect(await answer.promise).toBe(1)
})

test('a semaphore lets in so many, the others in their order, and nobody whose signal aborted', async () => {
  const semaphore = createSemaphore({ atOnce: 1, waiting: 2 })
  const leave = await semaphore.enter(never)
  const impatient = new AbortController()
  const order: string[] = []
  const second = semaphore.enter(impatient.signal).catch((reason) => order.push(`left: ${reason}`))
  const third = semaphore.enter(never)
  await expect(semaphore.enter(never)).rejects.toThrow('too many wait')
  impatient.abort('impatient')
  await second
  leave()
  leave()
  const leaveThird = await third
  expect(order).toEqual(['left: impatient'])
  expect(semaphore.idle).toBe(false)
  leaveThird()
  expect(semaphore.idle).toBe(true)
  await expect(semaphore.enter(AbortSignal.abort('before'))).rejects.toBe('before')
})

test('who waits for a semaphore gets in by their order, and leaves the queue when they are gone', async () => {
  const semaphore = createSemaphore({ atOnce: 2, waiting: 3 })
  const order: string[] = []
  const gone = new AbortController()
  const [first, second] = await Promise.all([semaphore.enter(never), semaphore.enter(never)])
  const waiting = async (name: string, signal = never) => {
    const leave = await semaphore.enter(signal)
    order.push(name)
    return leave
  }
  const third = waiting('third')
  const impatient = waiting('impatient', gone.signal)
  const fourth = waiting('fourth')
  await expect(semaphore.enter(never)).rejects.toThrow('too many wait')
  gone.abort()
  await expect(impatient).rejects.toThrow('abort')
  expect(getEventListeners(gone.signal, 'abort')).toEqual([])
  expect(order).toEqual([])
  first?.()
  first?.()
  const leaveThird = await third
  expect(order).toEqual(['third'])
  second?.()
  leaveThird()
  const leaveFourth = await fourth
  leaveFourth()
  expect(await semaphore.enter(never)).toBeTypeOf('function')
})

test('a semaphore for each key keeps those of other keys apart', async () => {
  const semaphore = createKeyedSemaphore({ atOnce: 1 })
  const leave = await semaphore.enter('a', never)
  ;(await semaphore.enter('b', never))()
  const again = semaphore.enter('a', never)
  leave()
  ;(await again)()
  ;(await semaphore.enter('a', never))()
})

test('rounds never overlap, survive a failure, and stop() waits for the one under way', async () => {
  const failures: unknown[] = []
  let inside = 0
  let most = 0
  let count = 0
  const rounds = every(
    1,
    async (signal) => {
      most = Math.max(most, ++inside)
      if (++count === 2) {
        inside--
        throw new Error('second')
      }
      await sleep(10, undefined, { signal }).catch(() => sleep(20))
      inside--
    },
    (error) => failures.push(error),
  )
  await expect.poll(() => count).toBeGreaterThan(3)
  await rounds.stop()
  expect(inside).toBe(0)
  expect(most).toBe(1)
  expect(failures).toEqual([new Error('second')])
  const before = count
  await sleep(30)
  expect(count).toBe(before)
})

test('a bounded map drops what was set longest ago', () => {
  const map = new BoundedMap<string, number>(2)
  map.set('a', 1)
  map.set('b', 2)
  map.set('a', 3)
  map.set('c', 4)
  expect([...map]).toEqual([
    ['a', 3],
    ['c', 4],
  ])
})

test('a scope closes in reverse, each once, also when one fails or comes late', async () => {
  const closed: string[] = []
  const scope = createScope()
  scope.add('first', (name) => closed.push(name))
  scope.add('broken', () => {
    throw new Error('broken')
  })
  scope.add('last', (name) => closed.push(name))
  await expect(scope.close()).rejects.toThrow('broken')
  await expect(scope.close()).rejects.toThrow('broken')
  expect(closed).toEqual(['last', 'first'])
  scope.add('late', (name) => closed.push(name))
  await scope.close()
  expect(closed).toEqual(['last', 'first', 'late'])
})

test('what an opening throws closes what it had opened', async () => {
  const closed: string[] = []
  const opening = opened(async (scope) => {
    scope.add('socket', (name) => closed.push(name))
    throw new Error('no')
  })
  await expect(opening).rejects.toThrow('no')
  expect(closed).toEqual(['socket'])
})
