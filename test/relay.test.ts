/** Two ends joined, each as slow or as broken as the test says. */
import { afterEach, expect, test, vi } from 'vitest'
import { type End, type Heard, relay } from '../src/relay.ts'

afterEach(() => {
  vi.useRealTimers()
})

class FakeEnd implements End {
  /** What was done to it, in order. */
  readonly done: string[] = []
  /** The answer of `write`. */
  takes = true
  #heard: Heard | undefined

  get heard(): Heard {
    if (!this.#heard) throw new Error('nobody listens')
    return this.#heard
  }

  listen(heard: Heard): void {
    this.#heard = heard
  }

  write(bytes: Buffer): boolean {
    this.done.push(`write ${bytes}`)
    return this.takes
  }

  end(): void {
    this.done.push('end')
  }

  resume(): void {
    this.done.push('resume')
  }

  destroy(): void {
    this.done.push('destroy')
  }

  whenClosed(): void {}
}

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

test('what was sent in full still leaves when its sender is gone, for a minute at the most', () => {
  vi.useFakeTimers()
  const quick = joined()
  const stuck = joined()
  for (const { one } of [quick, stuck]) {
    one.heard.ended()
    one.heard.closed()
  }
  expect(quick.other.done).toEqual(['end'])
  quick.other.heard.finished()
  expect(quick.other.done).toEqual(['end', 'destroy'])
  quick.other.heard.closed()
  vi.advanceTimersByTime(59_000)
  expect(stuck.other.done).toEqual(['end'])
  vi.advanceTimersByTime(2000)
  expect(stuck.other.done).toEqual(['end', 'destroy'])
  expect(quick.other.done).toEqual(['end', 'destroy'])
})

test('gone with all of it sent and taken: nothing is waited for', () => {
  const { one, other } = joined()
  one.heard.ended()
  other.heard.finished()
  one.heard.closed()
  expect(other.done).toEqual(['end', 'destroy'])
})
