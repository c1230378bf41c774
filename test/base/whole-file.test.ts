/** Files that are there whole or not at all, also on a disk that is full. */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeKeyFiles } from '../../src/auth/make-key-files.ts'
import { openInstance } from '../../src/base/instance.ts'
import { makeFile, replaceFile } from '../../src/base/whole-file.ts'
import { openJournal } from '../../src/guest/deliver/journal.ts'
import { run } from '../support/run.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hw-test-whole-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('a file', () => {
  it('is made once, with its mode; the second is told that it is there', async () => {
    const file = join(folder, 'key')
    const both = await Promise.allSettled([makeFile(file, 'one', 0o600), makeFile(file, 'two', 0o600)])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(both.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'EEXIST' } })
    expect(['one', 'two']).toContain(await readFile(file, 'utf8'))
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(await readdir(folder)).toEqual(['key'])
  })

  it('is replaced as a whole, and stays where that fails', async () => {
    const file = join(folder, 'entries')
    await replaceFile(file, 'one', 0o644)
    await replaceFile(file, 'two', 0o644)
    expect(await readFile(file, 'utf8')).toBe('two')
    await mkdir(join(folder, 'taken', 'inside'), { recursive: true })
    await expect(replaceFile(join(folder, 'taken'), 'x', 0o644)).rejects.toThrow()
    expect(await readdir(folder)).toEqual(['entries', 'taken'])
  })

  it('takes what a killed one was writing with it, and nothing else', async () => {
    const names = ['.key.hatchway-00112233aabb', '.other.hatchway-00112233aabb', '.key.hatchway-0011', 'key.new']
    for (const name of [...names, '.young.hatchway-00112233aabb']) await writeFile(join(folder, name), '')
    for (const name of names) await utimes(join(folder, name), 1, 1)
    await makeFile(join(folder, 'key'), 'key', 0o600)
    expect(await readdir(folder)).toEqual(['.key.hatchway-0011', '.young.hatchway-00112233aabb', 'key', 'key.new'])
  })
})

it('a note that a gateway was killed over is gone when the next one reads its journal', async () => {
  const draft = join(folder, `.put-${'0'.repeat(32)}.hatchway-00112233aabb`)
  await writeFile(draft, '')
  await utimes(draft, 1, 1)
  expect(await openJournal(folder, undefined).unfinished()).toEqual([])
  expect(await readdir(folder)).toEqual([])
})

// A file system of its own is mounted.
describe.runIf(process.getuid?.() === 0)('on a disk that is full', () => {
  beforeEach(async () => {
    const mounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', folder])
    expect(mounted.stderr.toString()).toBe('')
    await mkdir(join(folder, 'state', 'instances'), { recursive: true })
    await mkdir(join(folder, 'journal'))
    await writeFile(join(folder, 'full'), Buffer.alloc(64 * 1024)).catch(() => {})
    await expect(writeFile(join(folder, 'more'), 'more')).rejects.toMatchObject({ code: 'ENOSPC' })
    await rm(join(folder, 'more'))
  })
  afterEach(async () => {
    await run('umount', [folder])
  })
  const files = async () =>
    (await readdir(folder, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map(({ name }) => name)

  it('no key, no id and no note of a delivery leaves a draft', async () => {
    const key = makeKeyFiles(join(folder, 'ssh_host_ed25519_key'), 'ed25519', 'test')
    await expect(key).rejects.toMatchObject({ code: 'ENOSPC' })
    await expect(openInstance(join(folder, 'state'))).rejects.toMatchObject({ code: 'ENOSPC' })
    const note = openJournal(join(folder, 'journal'), undefined).note({ containerId: 'c', path: '/p' })
    await expect(note).rejects.toMatchObject({ code: 'ENOSPC' })
    expect(await files()).toEqual(['full'])
  })

  it('what was there is not replaced by half of it', async () => {
    await rm(join(folder, 'full'))
    await replaceFile(join(folder, 'entries'), 'before', 0o600)
    await writeFile(join(folder, 'full'), Buffer.alloc(64 * 1024)).catch(() => {})
    await expect(replaceFile(join(folder, 'entries'), Buffer.alloc(8192), 0o600)).rejects.toMatchObject({
      code: 'ENOSPC',
    })
    expect(await readFile(join(folder, 'entries'), 'utf8')).toBe('before')
    expect((await files()).sort()).toEqual(['entries', 'full'])
  })
})
