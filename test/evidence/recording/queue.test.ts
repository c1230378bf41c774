/** What waits for the disk has a bound; a session that must be recorded waits, of another the gap is counted. */
import { expect, test } from 'vitest'
import { createRecordQueue } from '../../../src/evidence/recording/queue.ts'

const MB = 1024 * 1024
const chunk = Buffer.alloc(MB)

test('of one that must be kept the source is told to wait, and to go on', () => {
  const account = { bytes: 0 }
  const queue = createRecordQueue(true, account)
  expect(queue.hasRoom()).toBe(true)
  for (let count = 0; count < 4; count++) queue.add(0, 'o', chunk)
  expect(queue.hasRoom()).toBe(false)
  const { bytes, items } = queue.take(5 * MB)
  expect(items).toHaveLength(4)
  expect(queue.isEmpty).toBe(true)
  // It still waits for the disk.
  expect(queue.hasRoom()).toBe(false)
  queue.written(bytes)
  expect(queue.hasRoom()).toBe(true)
  expect(account.bytes).toBe(0)
})

test('of one that need not be kept what finds no room is one gap, marked before what comes next', () => {
  const queue = createRecordQueue(false, { bytes: 0 })
  for (let count = 0; count < 20; count++) queue.add(count, 'o', chunk)
  expect(queue.gaps.count).toBe(1)
  const first = queue.take(100 * MB)
  expect(first.items.length * MB + queue.gaps.bytes).toBe(20 * MB)
  queue.written(first.bytes)
  queue.add(21, 'o', Buffer.from('after'))
  const rest = queue.take(MB)
  expect(rest.items).toMatchObject([
    { code: 'm', data: `gap: ${queue.gaps.bytes} bytes are not recorded` },
    { code: 'g', data: String(queue.gaps.bytes) },
    { code: 'o' },
  ])
  queue.written(rest.bytes)
  expect(queue.bytes).toBe(0)
})

test('many sessions of one identity share a bound', () => {
  const account = { bytes: 0 }
  const queues = Array.from({ length: 40 }, () => createRecordQueue(false, account))
  for (const queue of queues) queue.add(0, 'o', chunk)
  expect(account.bytes).toBeLessThanOrEqual(32 * MB + 40 * 64)
  expect(queues.filter(({ gaps }) => gaps.count === 1).length).toBeGreaterThan(5)
  const must = createRecordQueue(true, account)
  must.add(0, 'o', chunk)
  expect([must.hasRoom(), must.gaps.count]).toEqual([false, 0])
  for (const queue of queues) queue.drop()
  expect(must.hasRoom()).toBe(true)
})

test('window changes without end have the same bound, and the end has room', () => {
  const queue = createRecordQueue(false, { bytes: 0 })
  for (let count = 0; count < 200_000; count++) queue.line(count, 'r', '100x100')
  expect(queue.bytes).toBeLessThan(9 * MB)
  expect(queue.gaps.count).toBe(1)
  queue.line(1, 'x', '0')
  expect(queue.take(100 * MB).items.at(-1)).toMatchObject({ code: 'x' })
})
