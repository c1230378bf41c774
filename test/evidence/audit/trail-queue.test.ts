/** What waits for the disk: in order, in batches, bounded, and what finds no room is counted. */
import { expect, test } from 'vitest'
import { createTrailQueue } from '../../../src/evidence/audit/trail-queue.ts'

const LIMITS = { queueBytes: 100, reserveBytes: 20 }
const of = (bytes: number) => 'x'.repeat(bytes)

test('gives records back in the order in which they came', () => {
  const queue = createTrailQueue(LIMITS)
  for (const record of ['one', 'two', 'three']) expect(queue.add(record, false)).toBe(true)
  expect(queue).toMatchObject({ records: 3, bytes: 11, isEmpty: false })
  expect(queue.take()).toEqual({ records: ['one', 'two', 'three'], lost: 0 })
  expect(queue).toMatchObject({ records: 0, bytes: 0, isEmpty: true })
  expect(queue.take()).toEqual({ records: [], lost: 0 })
})

test('counts bytes and not characters', () => {
  const queue = createTrailQueue({ queueBytes: 5, reserveBytes: 0 })
  expect(queue.add('äöü', false)).toBe(false)
  expect(queue.add('äö', false)).toBe(true)
  expect(queue.bytes).toBe(4)
})

test('takes up to its bound to the byte, and loses what is more', () => {
  const queue = createTrailQueue(LIMITS)
  expect(queue.add(of(60), false)).toBe(true)
  expect(queue.add(of(41), false)).toBe(false)
  expect(queue.add(of(40), false)).toBe(true)
  expect(queue.add(of(1), false)).toBe(false)
  expect(queue).toMatchObject({ bytes: 100, lost: 2, lostEver: 2 })
})

test('has a reserve for what must be kept, which has a bound, too', () => {
  const queue = createTrailQueue(LIMITS)
  queue.add(of(100), false)
  expect(queue.add(of(1), false)).toBe(false)
  expect(queue.add(of(20), true)).toBe(true)
  expect(queue.add(of(1), true)).toBe(false)
})

test('says once, with the next batch, how many were lost, and goes on to count them all', () => {
  const queue = createTrailQueue(LIMITS)
  queue.add(of(100), false)
  queue.add('lost', false)
  queue.add('lost', false)
  expect(queue.take()).toEqual({ records: [of(100)], lost: 2 })
  expect(queue).toMatchObject({ lost: 0, lostEver: 2, isEmpty: true })
  expect(queue.add('kept', false)).toBe(true)
  expect(queue.take()).toEqual({ records: ['kept'], lost: 0 })
})

test('is not empty while only a number of lost ones is left to be said', () => {
  const queue = createTrailQueue(LIMITS)
  queue.add(of(101), false)
  expect(queue).toMatchObject({ records: 0, isEmpty: false })
  expect(queue.take()).toEqual({ records: [], lost: 1 })
  expect(queue.isEmpty).toBe(true)
})

test('gives no more than a write should have, by number and by bytes, and always at least one', () => {
  const queue = createTrailQueue({ queueBytes: 10_000_000, reserveBytes: 0 })
  for (let number = 0; number < 300; number++) queue.add(String(number), false)
  expect(queue.take().records).toHaveLength(256)
  expect(queue.take().records[0]).toBe('256')
  for (let count = 0; count < 3; count++) queue.add(of(200_000), false)
  expect(queue.take().records).toHaveLength(2)
  expect(queue.take().records).toHaveLength(1)
  queue.add(of(1_000_000), false)
  expect(queue.take().records).toHaveLength(1)
})

test('that is closed loses what comes, and still gives what it has', () => {
  const queue = createTrailQueue(LIMITS)
  queue.add('had', false)
  queue.close()
  expect(queue.add('late', true)).toBe(false)
  expect(queue.take()).toEqual({ records: ['had'], lost: 1 })
})
