/** A gateway's lease: always a mark while it is wanted, none after. The engine is a fake, for it must hang and refuse. */
import pino from 'pino'
import { expect, test } from 'vitest'
import { HatchwayError } from '../../../src/base/errors.ts'
import { createEngineLease } from '../../../src/container/templates/engine-lease.ts'
import type { Marks } from '../../../src/engine/engine.ts'
import { deferred } from '../../../src/lifetime/deferred.ts'
import { unlessAborted } from '../../../src/lifetime/on-abort.ts'
import { sleep } from '../../support/wait.ts'

const ID = 'a'.repeat(32)
const RENEW_MS = 20

function world() {
  const there = new Set<string>()
  const lines: string[] = []
  let least = Number.POSITIVE_INFINITY
  const faults = { put: 'none' as 'none' | 'refuses' | 'hangs', drop: false }
  const hang = deferred()
  let puts = 0
  const marks: Marks = {
    async put(name, signal) {
      puts++
      if (faults.put === 'refuses') throw new HatchwayError('ENGINE_ERROR', 'forbidden')
      // It is done all the same, and nothing is heard of it.
      there.add(name)
      if (faults.put === 'hangs') await unlessAborted(hang.promise, signal)
    },
    list: async () => [...there],
    async drop(name) {
      if (faults.drop) throw new HatchwayError('ENGINE_ERROR', 'busy')
      there.delete(name)
      least = Math.min(least, there.size)
    },
  }
  const use = { wanted: true }
  const log = pino({ level: 'debug' }, { write: (line) => void lines.push(JSON.parse(line).level) })
  const lease = createEngineLease(marks, ID, () => use.wanted, log, RENEW_MS)
  return { there, lines, faults, use, lease, hang, least: () => least, puts: () => puts }
}

test('is there once it is held, changes while it is wanted, and is never away meanwhile', async () => {
  const { there, lease, least } = world()
  expect(there.size).toBe(0)
  expect(await lease.held()).toBe(true)
  const [first = ''] = there
  expect(first).toMatch(new RegExp(`^hatchway-lease-${ID}-[0-9a-f]{8}$`))
  await expect.poll(() => there.size > 0 && !there.has(first)).toBe(true)
  await sleep(5 * RENEW_MS)
  expect(least()).toBeGreaterThanOrEqual(1)
  await lease.close()
  expect(there.size).toBe(0)
})

test('asked by many at once it is put once, and asked again not at all', async () => {
  const { lease, puts } = world()
  expect(await Promise.all([lease.held(), lease.held(), lease.held()])).toEqual([true, true, true])
  await lease.held()
  expect(puts()).toBe(1)
  await lease.close()
})

test('goes when nothing needs it, and comes back', async () => {
  const { there, use, lease } = world()
  await lease.held()
  use.wanted = false
  await expect.poll(() => there.size).toBe(0)
  use.wanted = true
  expect(await lease.held()).toBe(true)
  expect(there.size).toBe(1)
  await lease.close()
})

test('where it cannot be put it is not held: told once, and nothing is tried until somebody asks', async () => {
  const { lines, faults, lease, puts } = world()
  faults.put = 'refuses'
  expect(await lease.held()).toBe(false)
  expect(await lease.held()).toBe(false)
  await sleep(3 * RENEW_MS)
  expect(puts()).toBe(2)
  expect(lines.filter((level) => Number(level) >= 40)).toHaveLength(1)
  faults.put = 'none'
  expect(await lease.held()).toBe(true)
  await lease.close()
})

test('a renewal that fails or is not heard of keeps the one before, and leaves nothing', async () => {
  const { there, faults, lease, hang } = world()
  await lease.held()
  const [first = ''] = there
  faults.put = 'refuses'
  await sleep(4 * RENEW_MS)
  // It may be half way through a renewal that began before.
  const [now = first] = there
  await sleep(3 * RENEW_MS)
  expect([...there]).toEqual([now])
  faults.put = 'hangs'
  await expect.poll(() => there.size).toBe(2)
  expect(there.has(now)).toBe(true)
  const closed = lease.close()
  await closed
  hang.resolve()
  expect(there.size).toBe(0)
})

test('a mark that could not be dropped is dropped later', async () => {
  const { there, faults, lease } = world()
  faults.drop = true
  await lease.held()
  await expect.poll(() => there.size).toBeGreaterThan(2)
  faults.drop = false
  await expect.poll(() => there.size).toBe(1)
  await lease.close()
  expect(there.size).toBe(0)
})

test('closed while it is put, it is not held after, and nothing is left', async () => {
  const { there, faults, lease, hang } = world()
  faults.put = 'hangs'
  const held = lease.held()
  const closed = lease.close()
  hang.resolve()
  await held
  await closed
  expect(there.size).toBe(0)
  expect(await lease.held()).toBe(false)
  await lease.close()
})
