/** Which gateway is this: the same for all processes with one state folder, another for a copy of it. */
import { randomBytes } from 'node:crypto'
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { type Instance, openInstance } from '../../src/base/instance.ts'
import { configSchema } from '../../src/config/schema.ts'
import { LABELS } from '../../src/container/templates/template.ts'
import { createMadeContainers } from '../../src/container/templates/template-containers.ts'
import { createDockerEngine } from '../../src/engine/docker/docker.ts'
import { bundleProgram, PROJECT } from '../support/bundle.ts'
import { docker } from '../support/containers.ts'
import { run } from '../support/run.ts'
import { until } from '../support/wait.ts'

let home: string
const opened: Instance[] = []
const state = () => join(home, 'a')

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'hw-test-instance-'))
})
afterEach(async () => {
  for (const instance of opened.splice(0)) await instance.close()
  await rm(home, { recursive: true, force: true })
})

async function open(folder: string): Promise<Instance> {
  const instance = await openInstance(folder)
  opened.push(instance)
  return instance
}

/** As `cp -r` does, which leaves sockets out. */
async function copied(): Promise<string> {
  const copy = join(home, 'b')
  await cp(state(), copy, { recursive: true, filter: (path) => !path.includes('instances/') })
  return copy
}

test('processes with one state folder are one gateway, also later; a copy of the folder is another', async () => {
  const first = await open(state())
  expect((await open(state())).gateway).toBe(first.gateway)
  const copy = await open(await copied())
  expect(copy.gateway).not.toBe(first.gateway)
  await first.close()
  opened.shift()
  expect((await open(state())).gateway).toBe(first.gateway)
})

test('a folder is told from a copy of it, and is the same for all processes that are in it', async () => {
  const first = await open(state())
  expect(first.folder).toMatch(/^[0-9a-f]{32}$/)
  expect((await open(state())).folder).toBe(first.folder)
  expect((await open(await copied())).folder).not.toBe(first.folder)
})

test('of a process on another machine that shares the folder nobody here says that it is dead, nor removes its socket', async () => {
  const first = await open(state())
  const [other, reboot, old, renamed] = ['a', 'b', 'c', 'd'].map((digit) => digit.repeat(32)) as [
    string,
    string,
    string,
    string,
  ]
  const instances = join(state(), 'instances')
  // As their machine's file system shows them here: nobody answers.
  for (const id of [other, reboot, old, renamed]) await writeFile(join(instances, id), '')
  await writeFile(join(instances, `${other}.where`), `${'f'.repeat(32)} ${'e'.repeat(32)}\n`)
  await writeFile(join(instances, `${reboot}.where`), `${first.gateway} ${'e'.repeat(32)}\n`)
  // In a container that was made anew, with another host name and the same volume.
  await writeFile(join(instances, `${renamed}.where`), `${'f'.repeat(32)} ${first.folder}\n`)
  const lives = await Promise.all([other, reboot, old, renamed].map((id) => first.lives(id)))
  expect(lives).toEqual([true, false, false, false])
  const left = await readdir(instances)
  expect(left).toEqual(expect.arrayContaining([other, `${other}.where`, reboot]))
  expect(left).not.toContain(old)
  expect(left).not.toContain(renamed)
})

test('a process that is gone leaves nothing, killed or not', async () => {
  const first = await open(state())
  const instances = join(state(), 'instances')
  expect(await readdir(instances)).toHaveLength(2)
  const killed = 'd'.repeat(32)
  await writeFile(join(instances, killed), '')
  await writeFile(join(instances, `${killed}.where`), `${first.gateway} ${first.folder}\n`)
  expect(await first.lives(killed)).toBe(false)
  await first.close()
  opened.shift()
  expect(await readdir(instances)).toEqual([])
})

// Two containers of one image: machine-id, path and inode are the same, and so is the machine.
test('a copy that has the same path and inode, on a machine with the same id, is another folder', async () => {
  const { file, remove } = await bundleProgram(`
    import { openInstance } from '${PROJECT}/src/base/instance.ts'
    const { gateway, folder, close } = await openInstance('${home}/m/state')
    console.log(JSON.stringify({ gateway, folder }))
    await close()
  `)
  try {
    await mkdir(join(home, 'm'))
    const state = `${home}/m/state`
    const mounted = `mount -t tmpfs none ${home}/m && mkdir ${state} && echo ${'a'.repeat(32)} >${state}/gateway-id`
    // The second one is over the first, which stays: the number of a file system that is gone is given again.
    const twice = `set -e; for n in 1 2; do ${mounted}; node ${file}; done`
    const { stdout, stderr } = await run('unshare', ['-m', 'sh', '-c', twice])
    expect(stderr.toString()).toBe('')
    const told = stdout.toString().trim().split('\n')
    const parsed = told.map((line) => z.object({ gateway: z.string(), folder: z.string() }).parse(JSON.parse(line)))
    const [one, other] = parsed
    if (!one || !other) throw new Error(`told: ${told}`)
    expect(one.gateway).toBe(other.gateway)
    expect(one.folder).not.toBe(other.folder)
  } finally {
    await remove()
  }
})

test('a gateway with a copy of the folder removes what a dead process of its own left, and nothing of the other’s', async () => {
  const engine = createDockerEngine({ endpoint: 'unix:///var/run/docker.sock' })
  const log = pino({ level: 'silent' })
  const { templates = {} } = configSchema.parse({ templates: { t: { image: 'hatchway-busybox:latest' } } })
  const [first, second] = [await open(state()), await open(await copied())]
  const left = `hatchway-t-${randomBytes(4).toString('hex')}`
  // Made first, so that it comes after the other one in the list that is swept.
  const labels = {
    [LABELS.kind]: 'fresh',
    [LABELS.template]: 't',
    [LABELS.gateway]: second.gateway,
    [LABELS.instance]: '0'.repeat(32),
  }
  const labelled = Object.entries(labels).flatMap(([key, value]) => ['--label', `${key}=${value}`])
  await docker('create', '--name', left, ...labelled, 'hatchway-busybox')
  const theirs = createMadeContainers(engine, templates, first, log, () => {})
  const closed = new AbortController()
  try {
    const plan = theirs.plan({ template: { name: 't', kind: 'fresh' } }, { id: 'me', name: 'me' })
    const { name } = await theirs.container(plan, closed.signal, () => {}, AbortSignal.timeout(20_000))
    const ours = createMadeContainers(engine, templates, second, log, () => {})
    try {
      await until('its own is swept', async () => (await run('docker', ['inspect', left])).code !== 0, 20_000)
      expect((await run('docker', ['inspect', name])).code).toBe(0)
    } finally {
      await ours.close()
    }
  } finally {
    closed.abort()
    await theirs.close()
    await run('docker', ['rm', '-f', left])
    await engine.close()
  }
})
