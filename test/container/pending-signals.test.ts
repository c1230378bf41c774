import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { pendingSignals } from '../../src/container/pending-signals.ts'
import { deferred } from '../../src/lifetime/deferred.ts'

/** Sends that end when the test says so. */
function slow() {
  const sent: string[] = []
  let done = deferred()
  const signals = pendingSignals((name) => {
    sent.push(name)
    done = deferred()
    return done.promise
  })
  const next = async () => {
    done.resolve()
    await turn()
  }
  return { sent, signals, next }
}

test('a signal that waits waits once; one that is under way may be sent again', async () => {
  const { sent, signals, next } = slow()
  for (let i = 0; i < 1000; i++) expect(signals.add('USR1')).toBe(true)
  signals.add('INT')
  expect(sent).toEqual(['USR1'])
  await next()
  await next()
  await next()
  expect(sent).toEqual(['USR1', 'USR1', 'INT'])
  signals.add('TERM')
  expect(sent.at(-1)).toBe('TERM')
})

test('what waits at the end is not sent, and only so many wait', async () => {
  const { sent, signals, next } = slow()
  signals.add('INT')
  const names = Array.from({ length: 20 }, (_, i) => `RT${i}`)
  expect(names.map((name) => signals.add(name)).filter(Boolean)).toHaveLength(16)
  expect(signals.add('RT0')).toBe(true)
  signals.clear()
  await next()
  expect(sent).toEqual(['INT'])
})
