/** Records that ended, were left or are too old; and what verifying finds. */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, test, vi } from 'vitest'
import { findRecord, listRecords, readRecord } from '../../../src/evidence/recording/records.ts'
import { hold, release, removeOld } from '../../../src/evidence/recording/retention.ts'
import { sealLost } from '../../../src/evidence/recording/seal.ts'
import { verifyRecord } from '../../../src/evidence/recording/verify.ts'
import { all, bytesIn, ended, GATEWAY, openWorld, session, type World } from './world.ts'

let world: World
const quiet = { info() {}, warn() {}, error() {} } as never
const never = new AbortController().signal
beforeEach(async () => {
  world = await openWorld()
})

async function kept(id: string, output = 'seen') {
  const recording = await world.begin({ session: session({ id }) })
  recording.output(1, Buffer.from(output))
  await ended(recording)
  return recording
}

/** As after kill -9: nobody seals it. */
async function left(id: string) {
  const recording = await world.begin({ session: session({ id }) })
  recording.output(1, Buffer.from('seen'))
  await expect.poll(async () => (await bytesIn(world.directory, recording.id, 'o')).toString()).toBe('seen')
  recording.abandon(new Error('killed'))
  return recording.id
}

const sealing = (lives: (id: string) => boolean, gateway = GATEWAY.id) => ({
  directory: world.directory,
  instance: { gateway, id: 'c'.repeat(32), lives: async (id: string) => lives(id) },
  key: world.key,
  isOwn: () => false,
  log: quiet,
})

const verify = (id: string) => verifyRecord(world.directory, id, new Set([world.key.fingerprint]))

test('what a killed gateway left is sealed as incomplete, once, and is whole as it is', async () => {
  const id = await left('00000001')
  expect(await readRecord(world.directory, id)).toMatchObject({ state: 'live' })
  expect(await verify(id)).toMatchObject({ problems: [], state: 'live' })
  expect(
    await sealLost(
      sealing(() => false),
      never,
    ),
  ).toHaveLength(1)
  expect(
    await sealLost(
      sealing(() => false),
      never,
    ),
  ).toHaveLength(0)
  expect(await readRecord(world.directory, id)).toMatchObject({ state: 'incomplete' })
  expect(await verify(id)).toMatchObject({ problems: [], notes: [expect.stringContaining('incomplete')] })
})

test('what another process writes, or another installation, is never sealed', async () => {
  const id = await left('00000002')
  const asked: string[] = []
  const lives = (process: string) => asked.push(process) > 0
  expect(await sealLost(sealing(lives), never)).toEqual([])
  expect(asked).toEqual([GATEWAY.process])
  expect(
    await sealLost(
      sealing(() => false, 'd'.repeat(32)),
      never,
    ),
  ).toEqual([])
  expect(await sealLost({ ...sealing(() => false), isOwn: (one) => one === id }, never)).toEqual([])
  expect(await readRecord(world.directory, id)).toMatchObject({ state: 'live' })
})

test('one whose gateway was killed between the manifest and the end of it is as complete as it says', async () => {
  const { id } = await kept('00000003')
  writeFileSync(join(world.directory, id, 'started.json'), readFileSync(join(world.directory, id, 'manifest.json')))
  await sealLost(
    sealing(() => false),
    never,
  )
  expect(await readRecord(world.directory, id)).toMatchObject({ state: 'complete' })
  expect(existsSync(join(world.directory, id, 'started.json'))).toBe(false)
})

test('is found by its id and by the session', async () => {
  const { id } = await kept('0000000a')
  expect(await findRecord(world.directory, id)).toMatchObject({ id })
  expect(await findRecord(world.directory, '0000000a')).toMatchObject({ id })
  expect(await findRecord(world.directory, '0000000b')).toBeUndefined()
  expect(await findRecord(world.directory, '../../etc')).toBeUndefined()
})

test('a folder with another name, a manifest of another key and a file too many are found', async () => {
  const { id } = await kept('00000004')
  const other = id.replace('00000004', '00000005')
  renameSync(join(world.directory, id), join(world.directory, other))
  expect((await verify(other)).problems).toEqual([`is the record ${id}, under another name`])
  renameSync(join(world.directory, other), join(world.directory, id))
  expect((await verifyRecord(world.directory, id, new Set())).problems).toEqual([
    expect.stringContaining('signed by another key'),
  ])
  writeFileSync(join(world.directory, id, 'notes.txt'), 'x')
  expect((await verify(id)).problems).toEqual(['notes.txt is not of the record'])
  rmSync(join(world.directory, id, 'notes.txt'))
  rmSync(join(world.directory, id, 'manifest.json.sig'))
  expect((await verify(id)).problems).toEqual([expect.stringContaining('does not sign it')])
  writeFileSync(join(world.directory, id, 'manifest.json'), '{}')
  expect(await readRecord(world.directory, id)).toMatchObject({ state: 'broken' })
  expect(await verify(id)).toMatchObject({ state: 'broken', problems: [expect.stringContaining('manifest.json')] })
})

test('too old ones are removed, and neither one that is held nor one that lives', async () => {
  const [old, held] = [await kept('00000006'), await kept('00000007')]
  const live = await world.begin({ session: session({ id: '00000008' }) })
  await hold(join(world.directory, held.id), 'case 17')
  const later = Date.now() + 10_000
  expect(await removeOld(world.directory, { keepFor: 60_000, keepSize: 0 }, quiet, later)).toEqual([])
  expect(await removeOld(world.directory, { keepFor: 5_000, keepSize: 0 }, quiet, later)).toEqual([old.id])
  expect((await all(listRecords(world.directory))).map(({ id }) => id).sort()).toEqual([held.id, live.id].sort())
  await release(join(world.directory, held.id))
  expect(await removeOld(world.directory, { keepFor: 5_000, keepSize: 0 }, quiet, later)).toEqual([held.id])
  await ended(live)
})

test('where all are too large the oldest go, until the rest fits', async () => {
  const ids = []
  for (const id of ['00000011', '00000012', '00000013']) ids.push((await kept(id)).id)
  const sizes = (await all(listRecords(world.directory))).map(({ bytes }) => bytes)
  const total = sizes.reduce((sum, size) => sum + size, 0)
  expect(await removeOld(world.directory, { keepFor: 0, keepSize: total }, quiet)).toEqual([])
  expect(await removeOld(world.directory, { keepFor: 0, keepSize: total - 1 }, quiet)).toEqual([ids[0]])
})

test('two sessions of one second with the same id have a record each', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const [one, two] = [await world.begin(), await world.begin()]
  vi.useRealTimers()
  expect(two.id).toBe(`${one.id}-2`)
  await Promise.all([ended(one), ended(two)])
  expect((await verify(two.id)).problems).toEqual([])
})

test('one that cannot be made is refused, and leaves nothing', async () => {
  const { directory, begin } = world
  rmSync(directory, { recursive: true })
  await expect(begin()).rejects.toMatchObject({ code: 'ENOENT' })
  const gone = AbortSignal.abort(new Error('the client went away'))
  const { directory: other, begin: again } = await openWorld()
  await expect(again({}, gone)).rejects.toThrow('the client went away')
  expect(await all(listRecords(other))).toEqual([])
})
