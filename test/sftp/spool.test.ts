/** What sessions may have on the gateway's disk. The files are sparse: nothing of that size is written. */
import { readdirSync } from 'node:fs'
import { mkdtemp, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MAX_IDENTITY_BYTES, Spools } from '../../src/sftp/spool.ts'
import { Budgets } from '../../src/ssh/budget.ts'

const GIB = 1024 ** 3
const MIB = 1024 ** 2

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(process.env.TMPDIR ?? '/var/tmp', 'hw-test-spool-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** Of one identity; `session` makes another session of it. */
function identity(parent = folder) {
  const { budget } = new Budgets(MAX_IDENTITY_BYTES).enter('alice')
  return { session: () => new Spools(budget, [join(parent, 'no-such-folder'), parent]) }
}

test('a session has 2 GiB, and the next file more when one of them is closed', async () => {
  const spools = identity().session()
  const [one, two] = [await spools.make(), await spools.make()]
  await one.truncate(1.5 * GIB)
  await expect(two.write(GIB, Buffer.of(1))).rejects.toThrow('files of more than 2048 MiB cannot be copied')
  await one.close()
  await two.write(GIB, Buffer.of(1))
  expect(two.size).toBe(GIB + 1)
  await two.close()
})

test('the sessions of an identity have 4 GiB together', async () => {
  const { session } = identity()
  const files = await Promise.all([session(), session(), session()].map((spools) => spools.make()))
  const [one, two, three] = files
  await one?.truncate(2 * GIB)
  await two?.truncate(2 * GIB)
  await expect(three?.write(0, Buffer.of(1))).rejects.toThrow('you cannot have more under way in all your sessions')
  await one?.truncate(0)
  await three?.write(0, Buffer.of(1))
  for (const file of files) await file.close()
})

test('in memory it is a sixteenth', async () => {
  // Linux' own place for it, on every machine.
  expect((await statfs('/dev/shm')).type).toBe(0x01021994)
  const spool = await identity('/dev/shm').session().make()
  await spool.truncate(128 * MIB)
  await expect(spool.truncate(128 * MIB + 1)).rejects.toThrow('files of more than 128 MiB cannot be copied')
  await spool.close()
})

test('a folder that cannot be used is passed over, and no name is left', async () => {
  const spool = await identity().session().make()
  expect(readdirSync(folder)).toEqual([])
  await spool.close()
  await expect(new Spools({ take: () => true, give() {} }, [join(tmpdir(), 'no-such-folder')]).make()).rejects.toThrow(
    'ENOENT',
  )
})
