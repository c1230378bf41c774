import { existsSync, readdirSync, statSync, writeSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createFifoFolder, fifoBase } from '../../../src/engine/containerd/fifos.ts'

const abandoned: string[] = []
const open = (where: string, scope = 'here') =>
  createFifoFolder({ base: where, scope, abandoned: (label) => abandoned.push(label) })
const soon = () => AbortSignal.timeout(10_000)
let base: string

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'hw-test-fifos-'))
})
afterEach(() => rm(base, { recursive: true, force: true }))

test('opens pipes that nobody else may open, without waiting for their other side', async () => {
  const folder = open(join(base, 'new'))
  const set = await folder.take('a@b', false, soon())
  const { stdin, stdout, stderr } = set
  for (const { path } of [stdin, stdout, stderr ?? stdin]) expect(statSync(path).isFIFO()).toBe(true)
  const [own = ''] = readdirSync(join(base, 'new'))
  expect(statSync(join(base, 'new', own)).mode & 0o777).toBe(0o700)
  expect(statSync(stdout.path).mode & 0o777).toBe(0o600)
  expect(writeSync(stdin.fd, 'x')).toBe(1)
  expect((await folder.take('a@b', true, soon())).stderr).toBeUndefined()
  await set.close()
  await set.close()
  expect(existsSync(stdin.path)).toBe(false)
  await folder.close()
  await folder.close()
  expect(readdirSync(join(base, 'new'))).toEqual([])
})

test('gives each of many callers pipes of its own', async () => {
  const folder = open(base)
  const sets = await Promise.all(Array.from({ length: 30 }, () => folder.take('a@b', false, soon())))
  expect(new Set(sets.map(({ stdin }) => stdin.path)).size).toBe(30)
  for (const set of sets) await set.close()
  await folder.close()
})

test('a folder that others may write to, or a link in its place, is refused: they would choose what is opened there', async () => {
  await mkdir(join(base, 'open'))
  await chmod(join(base, 'open'), 0o777)
  await mkdir(join(base, 'real'), { mode: 0o700 })
  await symlink('real', join(base, 'link'))
  for (const name of ['open', 'link']) {
    await expect(open(join(base, name)).take('a@b', false, soon())).rejects.toMatchObject({ code: 'ENGINE_ERROR' })
    expect(readdirSync(join(base, name))).toEqual([])
  }
})

test('says why no pipe can be made, and makes one as soon as it can', async () => {
  const place = join(base, 'file', 'below')
  await rm(base, { recursive: true })
  await mkdir(base)
  await writeFile(join(base, 'file'), '')
  const folder = open(place)
  await expect(folder.take('a@b', false, soon())).rejects.toMatchObject({
    code: 'ENGINE_ERROR',
    message: 'the gateway cannot make the pipes of a program',
  })
  await rm(join(base, 'file'))
  const set = await folder.take('a@b', false, soon())
  await set.close()
  await folder.close()
})

test('removes what a killed gateway has left, tells of its programs, and leaves alone what lives or is another’s', async () => {
  const gone = open(base)
  await gone.take('program@container', false, soon())
  const [own = ''] = readdirSync(base)
  const stale = own.replace(`-${process.pid}-`, '-4194305-')
  const alive = own.replace(`-${process.pid}-`, '-1-')
  await rename(join(base, own), join(base, stale))
  for (const name of [alive, 'containerd-4194305-0123456789ab-x', 'control']) await mkdir(join(base, name))
  const folder = open(base)
  const set = await folder.take('next@container', false, soon())
  expect(abandoned).toEqual(['program@container'])
  expect(readdirSync(base)).not.toContain(stale)
  expect(readdirSync(base)).toEqual(expect.arrayContaining([alive, 'containerd-4194305-0123456789ab-x', 'control']))
  await set.close()
  await folder.close()
})

test('comes back where somebody has removed its folder', async () => {
  const folder = open(join(base, 'mine'))
  await (await folder.take('a@b', false, soon())).close()
  await rm(join(base, 'mine'), { recursive: true })
  await expect(folder.take('a@b', false, soon())).rejects.toMatchObject({ code: 'ENGINE_ERROR' })
  const set = await folder.take('a@b', false, soon())
  await set.close()
  await folder.close()
})

test('a service has its folder where the shim sees it', () => {
  expect(fifoBase({ RUNTIME_DIRECTORY: '/run/hatchway:/run/other' })).toBe('/run/hatchway')
  if (process.getuid?.() === 0) expect(fifoBase({ XDG_RUNTIME_DIR: '/run/user/0' })).toBe('/run/hatchway')
})
