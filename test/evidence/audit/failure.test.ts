/** A disk that is full, broken or read-only: what is recorded then, what is lost, and who is let in. */
import { writeSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { configSchema } from '../../../src/config/schema.ts'
import { openAudit } from '../../../src/evidence/audit/audit.ts'
import { deferred } from '../../../src/lifetime/deferred.ts'
import type { GatewayEvent } from '../../../src/observe/events.ts'
import { run } from '../../support/run.ts'
import { until } from '../../support/wait.ts'
import { trailFolder } from './world.ts'

let world: Awaited<ReturnType<typeof trailFolder>>
let disk: string
let file: string
beforeEach(async () => {
  world = await trailFolder()
  disk = join(world.folder, 'disk')
  file = join(disk, 'audit.jsonl')
  await mkdir(disk)
})
afterEach(async () => {
  await run('umount', [disk])
  await world.remove()
})

const LIMITS = { queueBytes: 100_000, reserveBytes: 10_000, retryMs: 20, closeMs: 2_000, stallMs: 10_000, watchMs: 20 }
const record = (number: number) => ({ at: '', action: 'test', outcome: 'ok', number, padding: 'x'.repeat(500) })
/** A disk one call of which does not end from `hang` to `goOn`. */
function hangingDisk(call: 'write' | 'sync') {
  let gate = deferred()
  gate.resolve()
  const calls = {
    write: async (fd: number, bytes: Buffer) => {
      if (call === 'write') await gate.promise
      return writeSync(fd, bytes)
    },
    sync: async () => {
      if (call === 'sync') await gate.promise
    },
  }
  const hang = () => {
    gate = deferred()
  }
  return { calls, hang, goOn: () => gate.resolve() }
}
const mount = async (...options: string[]) => {
  const { code, stderr } = await run('mount', ['-t', 'tmpfs', '-o', ['size=64k', ...options].join(), 'tmpfs', disk])
  if (code !== 0) throw new Error(String(stderr))
}

describe('a trail', () => {
  test('on a full disk waits with what it has, counts what it loses, and goes on whole when there is room', async () => {
    await mount()
    const ballast = join(disk, 'ballast')
    await writeFile(ballast, Buffer.alloc(24 * 1024))
    const trail = await world.open({ file }, { limits: LIMITS })
    for (let number = 0; number < 1000; number++) trail.add(record(number))
    await until('it is full', () => world.said.some(({ msg }) => msg.includes('cannot be written')))
    expect(world.said.map(({ msg, reason }) => `${msg} ${reason}`).join('\n')).toMatch(/cannot be written ENOSPC/)
    expect(world.said.filter(({ msg }) => msg.includes('cannot be written'))).toHaveLength(1)
    expect(trail.waitingBytes).toBeLessThan(LIMITS.queueBytes + 300_000)
    await rm(ballast)
    await run('mount', ['-o', 'remount,size=4m', disk])
    await until('it is written', () => trail.failing === undefined)
    trail.add(record(1000))
    await trail.close()
    const { problems, records } = await world.verify([], file)
    expect(problems).toEqual([])
    const lines = (await world.lines(file)).map((line) => JSON.parse(line))
    const [lost] = lines.filter(({ action }) => action === 'records-lost')
    expect(lost.count).toBeGreaterThan(100)
    expect(trail.lostRecords).toBe(lost.count)
    expect(records).toBe(1001 - lost.count + 3)
    expect(lines.at(-2)).toMatchObject({ number: 1000 })
  })

  test('keeps, in its reserve, what must be kept', async () => {
    await mount()
    await writeFile(join(disk, 'ballast'), Buffer.alloc(40 * 1024))
    const trail = await world.open({ file }, { limits: LIMITS })
    for (let number = 0; number < 1000; number++) trail.add(record(number))
    await until('it is full', () => trail.failing !== undefined)
    for (let number = 2000; number < 2010; number++) trail.add(record(number), true)
    await run('mount', ['-o', 'remount,size=4m', disk])
    await trail.close()
    const numbers = (await world.lines(file)).map((line) => JSON.parse(line).number)
    expect(numbers).toEqual(expect.arrayContaining([2000, 2009]))
    expect(numbers).not.toContain(999)
    expect((await world.verify([], file)).problems).toEqual([])
  })

  test('that is read-only when the gateway starts is written once it is not', async () => {
    await mount('ro')
    const trail = await world.open({ file }, { limits: LIMITS })
    expect(trail.failing).toMatch(/EROFS/)
    trail.add(record(1))
    await run('mount', ['-o', 'remount,rw', disk])
    await until('it is written', () => trail.failing === undefined)
    await trail.close()
    expect(await world.verify([], file)).toMatchObject({ problems: [], records: 3 })
  })

  test.each(['write', 'sync'] as const)(
    'whose %s fails with EIO in the middle is whole when it does not any more',
    async (call) => {
      let broken = false
      const { write } = await import('node:fs')
      const eio = () => Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })
      const calls = {
        // Half of what is asked for, as a disk that is about to fill up writes.
        write: (fd: number, bytes: Buffer) =>
          new Promise<number>((resolve, reject) => {
            if (broken && call === 'write') return reject(eio())
            write(fd, bytes, 0, Math.ceil(bytes.length / 2), (error, count) => (error ? reject(error) : resolve(count)))
          }),
        sync: async () => {
          if (broken && call === 'sync') throw eio()
        },
      }
      const trail = await world.open({ file, fsync: 'batch' }, { calls, limits: LIMITS })
      trail.add(record(1))
      await trail.settled()
      broken = true
      for (let number = 2; number < 50; number++) trail.add(record(number))
      await until('it fails', () => trail.failing !== undefined)
      broken = false
      await until('it is written', () => trail.failing === undefined)
      await trail.close()
      expect(await world.verify([], file)).toMatchObject({ problems: [], records: 51 })
    },
  )

  test.each(['write', 'sync'] as const)('whose %s hangs says so, and says when it goes on', async (call) => {
    const { calls, hang, goOn } = hangingDisk(call)
    const changes: (string | undefined)[] = []
    const changed = (failing: string | undefined) => void changes.push(failing)
    const limits = { ...LIMITS, stallMs: 100 }
    const trail = await world.open({ file, fsync: 'batch' }, { calls, limits, changed })
    trail.add(record(1))
    await trail.settled()
    expect(changes).toEqual([])
    hang()
    trail.add(record(2))
    await until('it is told', () => changes.length > 0, 3_000, 5)
    expect(changes).toEqual([trail.failing])
    expect(trail.failing).toMatch(/does not answer/)
    goOn()
    await until('it is told again', () => changes.length > 1, 3_000, 5)
    expect(changes[1]).toBeUndefined()
    expect(trail.failing).toBeUndefined()
    const told = world.said.map(({ msg }) => msg).filter((msg) => msg.includes('written'))
    expect(told).toEqual(['the audit trail cannot be written', 'the audit trail is written again'])
    await trail.close()
    expect(await world.verify([], file)).toMatchObject({ problems: [], records: 4 })
  })

  test('that loses records says so, and says when it does not any more', async () => {
    const { calls, hang, goOn } = hangingDisk('write')
    const changes: (string | undefined)[] = []
    const changed = (failing: string | undefined) => void changes.push(failing)
    const trail = await world.open({ file }, { calls, limits: LIMITS, changed })
    await trail.settled()
    hang()
    for (let number = 0; number < 1000; number++) trail.add(record(number))
    await until('it is told', () => changes.length > 0, 3_000, 5)
    expect(changes).toEqual(['more records come than can be written'])
    goOn()
    await until('it is told again', () => changes.length > 1, 3_000, 5)
    expect(changes[1]).toBeUndefined()
    await trail.close()
    expect(changes).toHaveLength(2)
  })

  test('that is closed while its disk hangs tells nothing any more', async () => {
    const { calls, hang, goOn } = hangingDisk('sync')
    const changes: (string | undefined)[] = []
    const changed = (failing: string | undefined) => void changes.push(failing)
    const limits = { ...LIMITS, stallMs: 50, closeMs: 300 }
    const trail = await world.open({ file, fsync: 'batch' }, { calls, limits, changed })
    await trail.settled()
    hang()
    trail.add(record(1))
    await trail.close()
    expect(changes).toHaveLength(1)
    goOn()
    await trail.settled()
    expect(changes).toHaveLength(1)
  })

  test('that never comes back keeps its end short', async () => {
    await mount()
    await writeFile(join(disk, 'ballast'), Buffer.alloc(56 * 1024))
    const trail = await world.open({ file }, { limits: { ...LIMITS, closeMs: 200 } })
    for (let number = 0; number < 100; number++) trail.add(record(number))
    const before = performance.now()
    await trail.close()
    expect(performance.now() - before).toBeLessThan(10_000)
    expect(world.said.at(-1)?.msg).toMatch(/is not complete/)
    // The next one says that its last record is not whole.
    await run('mount', ['-o', 'remount,size=4m', disk])
    await (await world.open({ file })).close()
    expect((await world.verify([], file)).problems).toEqual([])
  })
})

describe('while it cannot be written', () => {
  const gateway = { id: 'g', process: 'p', host: 'h' }
  const remote = { address: '127.0.0.1', port: 1 }
  const event = (name: string): GatewayEvent => ({
    ...{ type: 'gateway-command', command: 'ls', at: Date.now(), gateway, engine: 'unix:///e' },
    whose: { connectionId: 'c', remote, login: 'web', identity: { name, fingerprint: 'SHA256:x' } },
  })

  async function fullAudit(more: object) {
    await mount()
    const ballast = join(disk, 'ballast')
    const settings = { ...configSchema.parse({ audit: { file, breakGlass: ['ops'], ...more } }).audit, file }
    const spared: boolean[] = []
    const audit = await openAudit(
      settings,
      join(world.folder, 'keys'),
      (isSpared) => spared.push(isSpared('anna'), isSpared('ops')),
      pino({ enabled: false }),
    )
    audit.demandRecord({ name: 'anna' })
    await writeFile(ballast, Buffer.alloc(1024 * 1024)).catch(() => {})
    for (let count = 0; count < 100; count++) audit.read(event('anna'))
    await until('it fails', () => {
      try {
        audit.check()
        return false
      } catch {
        return true
      }
    })
    return { audit, spared, room: () => rm(ballast) }
  }

  test('with refuse nobody is let in but by breaking the glass, which is recorded when there is room', async () => {
    const { audit, spared, room } = await fullAudit({ onFailure: 'refuse' })
    expect(() => audit.demandRecord({ name: 'anna' })).toThrow(/the audit trail cannot be written/)
    audit.demandRecord({ name: 'ops' })
    audit.read(event('ops'))
    expect(spared).toEqual([])
    await room()
    await until('anna is let in', () => {
      try {
        audit.demandRecord({ name: 'anna' })
        return true
      } catch {
        return false
      }
    })
    await audit.close()
    expect(await readFile(file, 'utf8')).toContain('"identity":"ops"')
    expect((await world.verify([], file)).problems).toEqual([])
  })

  test('with endRunning what runs is ended, but of whom the glass is broken for', async () => {
    const { audit, spared, room } = await fullAudit({ onFailure: 'refuse', endRunning: true })
    expect(spared).toEqual([false, true])
    await room()
    await audit.close()
  })

  test('with continue everybody is let in', async () => {
    const { audit, room } = await fullAudit({ endRunning: true })
    audit.demandRecord({ name: 'anna' })
    await room()
    await audit.close()
  })
})
