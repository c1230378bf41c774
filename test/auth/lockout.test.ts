import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLockout, type Lockout } from '../../src/auth/lockout.ts'

let directory: string
let now: number
beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'hw-test-lockout-')), 'wrong')
  now = Date.now()
})
afterEach(() => rmSync(join(directory, '..'), { recursive: true }))

const open = () => createLockout(directory, () => now)

async function wrong(lockout: Lockout, times: number): Promise<void> {
  for (let i = 0; i < times; i++) expect(await lockout.attempt('alice')).toBeDefined()
}

describe('wrong codes', () => {
  it('have their owner wait after the fifth, longer each time, at most a quarter of an hour', async () => {
    const lockout = open()
    const waits: number[] = []
    for (let i = 0; i < 12; i++) {
      const { waitMs = 0 } = (await lockout.attempt('alice')) ?? {}
      waits.push(waitMs / 1000)
      if (waitMs === 0) continue
      now += waitMs - 1
      expect(await lockout.attempt('alice')).toBeUndefined()
      now += 1
    }
    expect(waits).toEqual([0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900, 900])
    expect(await lockout.attempt('bob')).toMatchObject({ waitMs: 0 })
    await (await lockout.attempt('alice'))?.right()
    expect(await lockout.attempt('alice')).toMatchObject({ waitMs: 0 })
  })

  it('are counted by all processes together, and after a restart', async () => {
    const processes = Array.from({ length: 4 }, open)
    for (const each of processes) await wrong(each, 1)
    await wrong(open(), 1)
    for (const each of processes) expect(await each.attempt('alice')).toBeUndefined()
    now += 30_000
    const [first, second] = processes
    await (await first?.attempt('alice'))?.right()
    expect(await second?.attempt('alice')).toMatchObject({ waitMs: 0 })
  })

  it('are five, however many come at once at several processes', async () => {
    const processes = Array.from({ length: 4 }, open)
    for (let round = 0; round < 10; round++) {
      const attempts = await Promise.all(Array.from({ length: 60 }, (_, i) => processes[i % 4]?.attempt('alice')))
      expect(attempts.filter((attempt) => attempt !== undefined)).toHaveLength(5)
      now += 30_000
      await (await open().attempt('alice'))?.right()
      expect(readdirSync(directory)).toEqual([])
    }
  })

  it('that were none count as if they had not been', async () => {
    const lockout = open()
    await (await lockout.attempt('alice'))?.forget()
    expect(readdirSync(directory)).toEqual([])
    await wrong(lockout, 5)
    now += 30_000
    await (await lockout.attempt('alice'))?.forget()
    expect(await lockout.attempt('alice')).toMatchObject({ waitMs: 60_000 })
  })

  it('leave few files, however long somebody tries', async () => {
    for (let i = 0; i < 40; i++) {
      await wrong(open(), 1)
      now += 900_000
    }
    expect(readdirSync(directory)).toEqual(['alice.39', 'alice.40'])
  })

  it('keep nobody out for longer than their wait where the clock was set back', async () => {
    await wrong(open(), 5)
    now -= 86_400_000
    expect(await open().attempt('alice')).toMatchObject({ waitMs: 60_000 })
  })

  it('of alice.1 are none of alice, in files that only their owner reads', async () => {
    const lockout = open()
    for (let i = 0; i < 5; i++) await lockout.attempt('alice.1')
    expect(await lockout.attempt('alice.1')).toBeUndefined()
    await wrong(lockout, 3)
    expect(readdirSync(directory)).toHaveLength(8)
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    expect(statSync(join(directory, 'alice.3')).mode & 0o777).toBe(0o600)
  })

  it('cannot be tried where they cannot be counted', async () => {
    const file = process.execPath
    expect(existsSync(file)).toBe(true)
    await expect(createLockout(join(file, 'wrong')).attempt('alice')).rejects.toThrow('ENOTDIR')
  })
})
