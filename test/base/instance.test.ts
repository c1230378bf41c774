/** Which gateway is this: the same for all processes with one state folder, another for a copy of it. */
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Instance, openInstance } from '../../src/base/instance.ts'
import { configSchema } from '../../src/config/schema.ts'
import { LABELS } from '../../src/container/templates/template.ts'
import { createMadeContainers } from '../../src/container/templates/template-containers.ts'
import { createDockerEngine } from '../../src/engine/docker/docker.ts'
import { docker, testName } from '../support/containers.ts'
import { run } from '../support/run.ts'
import { until } from '../support/wait.ts'

let home: string
const instances: Instance[] = []
const state = () => join(home, 'a')

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'hw-test-instance-'))
})
afterEach(async () => {
  for (const instance of instances.splice(0)) await instance.close()
  await rm(home, { recursive: true, force: true })
})

async function open(folder: string): Promise<Instance> {
  const instance = await openInstance(folder)
  instances.push(instance)
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
  instances.shift()
  expect((await open(state())).gateway).toBe(first.gateway)
})

test('a gateway with a copy of the folder removes what a dead process of its own left, and nothing of the other’s', async () => {
  const engine = createDockerEngine({ endpoint: 'unix:///var/run/docker.sock' })
  const log = pino({ level: 'silent' })
  const { templates = {} } = configSchema.parse({ templates: { t: { image: 'hatchway-busybox:latest' } } })
  const [first, second] = [await open(state()), await open(await copied())]
  const left = testName('left')
  // Made first, so that it comes after the other one in the list that is swept.
  const labels = { [LABELS.kind]: 'fresh', [LABELS.gateway]: second.gateway, [LABELS.instance]: '0'.repeat(32) }
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
