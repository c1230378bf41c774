/** Two ends joined, each as slow or as broken as the test says. */
import { afterEach, expect, test, vi } from 'vitest'
import { relay } from '../../src/bytes/relay.ts'
import { FakeEnd } from '../support/fake-end.ts'

afterEach(() => {
  vi.useRealTimers()
})

function joined() {
  const [one, other] = [new FakeEnd(), new FakeEnd()]
  relay(one, other)
  return { one, other }
}

test('what one sends the other gets, and a slow one stops and resumes its sender', () => {
  const { one, other } = joined()
  expect(one.heard.data(Buffer.from('a'))).toBe(true)
  other.takes = false
  expect(one.heard.data(Buffer.from('b'))).toBe(false)
  other.heard.drained()
  expect(other.heard.data(Buffer.from('c'))).toBe(true)
  expect([one.done, other.done]).toEqual([
    ['resume', 'write c'],
    ['write a', 'write b'],
  ])
})

test('an end of sending is passed on, and the other way goes on', () => {
  const { one, other } = joined()
  one.heard.ended()
  other.heard.finished()
  other.heard.data(Buffer.from('late'))
  expect([one.done, other.done]).toEqual([['write late'], ['end']])
})

test('who is over before it said that it sends no more takes the other with it', () => {
  const { one, other } = joined()
  one.heard.data(Buffer.from('half'))
  one.heard.closed()
  expect(other.done).toEqual(['write half', 'destroy'])
})

/** All of it was sent, and its sender is gone, before it left. */
function withRest(unsent?: number) {
  const { one, other } = joined()
  if (unsent !== undefined) other.unsent = unsent
  one.heard.ended()
  one.heard.closed()
  expect(other.done).toEqual(['end'])
  return other
}

test('what was sent in full still leaves when its sender is gone, as long as some of it does each minute', () => {
  vi.useFakeTimers()
  const slow = withRest(100)
  const stuck = withRest(100)
  const channel = withRest()
  for (let left = 99; left > 90; left--) {
    slow.unsent = left
    vi.advanceTimersByTime(60_000)
  }
  expect([slow.done, stuck.done, channel.done]).toEqual([['end'], ['end', 'destroy'], ['end']])
  slow.heard.finished()
  channel.heard.finished()
  expect([slow.done, channel.done]).toEqual([
    ['end', 'destroy'],
    ['end', 'destroy'],
  ])
  slow.heard.closed()
  expect(vi.getTimerCount()).toBe(0)
})

test('gone with all of it sent and taken: nothing is waited for', () => {
  const { one, other } = joined()
  one.heard.ended()
  other.heard.finished()
  one.heard.closed()
  expect(other.done).toEqual(['end', 'destroy'])
})
