/** Whose leases have ended: by what the watcher saw, with no clock. */
import { expect, test } from 'vitest'
import { LeaseWatch, leaseHolder, newLeaseName } from '../../../src/container/templates/lease-watch.ts'

const A = 'a'.repeat(32)
const B = 'b'.repeat(32)

/** The number of the look that says that A's lease has ended; undefined where none of twenty does. */
function endsAt(marks: (look: number, watch: LeaseWatch) => readonly string[], instances = [A]): number | undefined {
  const watch = new LeaseWatch()
  for (let look = 1; look <= 20; look++) if (watch.look(instances, marks(look, watch)).ended.has(A)) return look
  return undefined
}

test('one that changes has not ended, however slowly it does', () => {
  expect(endsAt((look) => [`hatchway-lease-${A}-${String(Math.floor(look / 4)).padStart(8, '0')}`])).toBeUndefined()
})

test('one that stays the same, or away, has ended after five looks more', () => {
  const mark = newLeaseName(A)
  expect(endsAt(() => [mark])).toBe(6)
  expect(endsAt(() => [])).toBe(6)
  // What a gateway left that has no container any more.
  expect(endsAt(() => [mark], [])).toBe(6)
})

test('a look that failed begins the count anew', () => {
  const mark = newLeaseName(A)
  const at = endsAt((look, watch) => {
    if (look === 5) watch.forget()
    return [mark]
  })
  expect(at).toBe(10)
})

test('one that lost its marks and puts others lives', () => {
  const [old, fresh] = [newLeaseName(A), newLeaseName(A)]
  expect(endsAt((look) => (look < 4 ? [old] : look < 8 ? [] : [fresh]))).toBe(13)
})

test('is doubtful from the first look on, until it is seen to change or to have ended', () => {
  const watch = new LeaseWatch()
  const [first, second] = [newLeaseName(A), newLeaseName(A)]
  const doubts = [[first], [first], [first, second], [second], [second]].map((marks) => watch.look([A], marks).doubtful)
  expect(doubts).toEqual([true, true, false, false, true])
  for (let look = 0; look < 5; look++) watch.look([A], [second])
  expect(watch.look([A], [second])).toEqual({ ended: new Set([A]), doubtful: false })
})

test('others’ volumes and other instances are told apart', () => {
  const mark = newLeaseName(A)
  expect(leaseHolder(mark)).toBe(A)
  expect(leaseHolder(`${mark}x`)).toBeUndefined()
  expect(leaseHolder('hatchway-lease-short-00000000')).toBeUndefined()
  const watch = new LeaseWatch()
  for (let look = 0; look < 5; look++) watch.look([A, B], [mark, newLeaseName(B), 'data'])
  expect([...watch.look([A, B], [mark, newLeaseName(B), 'data']).ended]).toEqual([A])
})
