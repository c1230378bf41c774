/**
 * Two gateways that have nothing in common but the engine: processes with folders of their own, of which one is killed or
 * hangs. Their times are short; all else is as in a gateway.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { DockerEngineOptions } from '../../../src/engine/docker/docker.ts'
import { type Bundle, bundleProgram, PROJECT } from '../../support/bundle.ts'
import { docker } from '../../support/containers.ts'
import { startHangingEngine } from '../../support/hanging-engine.ts'
import { type Podman, startPodman, whyNoPodman } from '../../support/podman.ts'
import { until } from '../../support/wait.ts'

// A name of this run's own: other tests' containers are none of our business.
const T = `m${process.pid}`
const LONG = 120_000
const DOCKER = 'unix:///var/run/docker.sock'

/**
 * Containers and leases of other tests' gateways are hidden from it: those renew theirs every 45 s, which looks of a second take
 * for their end, and it removed what they had just made.
 *
 * Makes and starts a fresh container for each line that comes, and says "NAME made"; at the end of its input it closes. */
const PROGRAM = `
import { readdirSync, writeFileSync } from 'node:fs'
import { dirname, extname } from 'node:path'
import { createInterface } from 'node:readline'
import pino from 'pino'
import { openInstance } from '${PROJECT}/src/base/instance.ts'
import { createMadeContainers } from '${PROJECT}/src/container/templates/template-containers.ts'
import { createDockerEngine } from '${PROJECT}/src/engine/docker/docker.ts'
import { configSchema } from '${PROJECT}/src/config/schema.ts'
const { folder, template, ...options } = JSON.parse(process.argv[2])
const real = createDockerEngine(options)
const instance = await openInstance(folder)
writeFileSync(folder + '.' + instance.id, '')
const isOurs = (mark) => readdirSync(dirname(folder)).some((file) => mark.includes(extname(file).slice(1) || '-none'))
const looked = (marks) => (console.log('looked'), marks.filter(isOurs))
const ofTemplate = (all) => all.filter(({ labels }) => labels['hatchway.template'] === template)
const engine = {
  ...real,
  list: (signal) => real.list(signal).then(ofTemplate),
  marks: { ...real.marks, list: (signal) => real.marks.list(signal).then(looked) },
}
const { templates } = configSchema.parse({ templates: { [template]: { image: 'hatchway-busybox:latest', perIdentity: 9 } } })
const log = pino({ level: 'debug' }, { write: (line) => console.error(line) })
const limits = { sweepMs: 1000, lookMs: 1000, renewMs: 700 }
const made = createMadeContainers(engine, templates, instance, log, () => {}, limits)
const never = new AbortController().signal
console.log('up')
for await (const kind of createInterface(process.stdin)) {
  const plan = made.plan({ template: { name: template, kind } }, { id: 'me', name: 'me' })
  const { id, name } = await made.container(plan, new AbortController().signal, () => {}, never)
  await engine.lifecycle.start(id, never)
  console.log(name, 'made')
}
await made.close()
await engine.close()
await instance.close()
`

let bundle: Bundle
let folders: string
let count = 0
beforeAll(async () => {
  folders = await mkdtemp(join(tmpdir(), 'hw-test-machines-'))
  bundle = await bundleProgram(PROGRAM)
}, LONG)
afterAll(async () => {
  await bundle?.remove()
  await rm(folders, { recursive: true, force: true })
})

interface Machine {
  readonly child: ChildProcess
  readonly log: () => string
  /** Returns the container's name. */
  make(): Promise<string>
  /** Waits until it has looked at the leases so often. */
  looks(times: number): Promise<void>
  kill(): Promise<void>
  close(): Promise<void>
}

/** @param folder the state folder; another one is another machine as far as anybody can tell */
function machine(engine: DockerEngineOptions, folder = `f${count++}`): Machine {
  const options = JSON.stringify({ folder: join(folders, folder), template: T, ...engine })
  const child = spawn(process.execPath, [bundle.file, options], { stdio: 'pipe' })
  let [out, log] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text))
  const ended = once(child, 'exit')
  const kill = async () => {
    child.kill('SIGKILL')
    await ended
  }
  onTestFinished(kill)
  return {
    child,
    log: () => log,
    async make() {
      const before = out.length
      child.stdin.write('fresh\n')
      const found = () => /(\S+) made\n/.exec(out.slice(before))?.[1]
      return until('a container is made', found, 60_000).catch((error) =>
        Promise.reject(new Error(log, { cause: error })),
      )
    },
    async looks(times) {
      const before = out.length
      const looked = () => out.slice(before).split('looked\n').length > times
      await until(`${times} looks`, looked, LONG)
    },
    kill,
    async close() {
      child.stdin.end()
      await ended
    },
  }
}

const why = await whyNoPodman()
const ENGINES = why === undefined ? (['docker', 'podman'] as const) : (['docker'] as const)

describe.each(ENGINES)('two machines on one engine: %s', (name) => {
  let podman: Podman | undefined
  let where: DockerEngineOptions
  let control: (...args: string[]) => Promise<string>
  beforeAll(async () => {
    if (name === 'podman') podman = await startPodman()
    control = podman?.control ?? docker
    where = { endpoint: podman ? await podman.serve() : DOCKER }
  }, LONG)
  afterAll(async () => {
    for (const one of await made()) await control('rm', '-f', one)
    await podman?.close()
  }, LONG)

  const lines = (text: string) => text.split('\n').filter(Boolean)
  const made = async () =>
    lines(await control('ps', '-a', '--filter', `label=hatchway.template=${T}`, '--format', '{{.Names}}'))
  const leaseOf = async (container: string) => {
    const instance = await control('inspect', '-f', '{{index .Config.Labels "hatchway.instance"}}', container)
    return lines(await control('volume', 'ls', '-q')).filter((volume) =>
      volume.startsWith(`hatchway-lease-${instance}`),
    )
  }

  test(
    'each leaves the other’s alone; of one that was killed the other removes them, and the lease',
    async () => {
      const [dying, other] = [machine(where), machine(where)]
      const [theirs, again, ours] = [await dying.make(), await dying.make(), await other.make()]
      const leaseName = (await leaseOf(theirs)).join()
      await until('it is renewed', async () => {
        const marks = await leaseOf(theirs)
        expect(marks.length).toBeGreaterThan(0)
        return !marks.includes(leaseName)
      })
      // A killed one is found out with six.
      await other.looks(10)
      expect((await made()).sort()).toEqual([theirs, again, ours].sort())
      const marks = await leaseOf(theirs)
      await dying.kill()
      await until('they are removed', async () => (await made()).length === 1, LONG)
      expect(await made()).toEqual([ours])
      const left = async () => lines(await control('volume', 'ls', '-q')).filter((volume) => marks.includes(volume))
      await until('its lease is', async () => (await left()).length === 0)
      const own = await leaseOf(ours)
      await other.close()
      expect(await made()).toEqual([])
      expect(lines(await control('volume', 'ls', '-q'))).not.toEqual(expect.arrayContaining(own))
    },
    LONG,
  )

  // The rest is the engine's no more.
  if (name !== 'docker') return

  test(
    'what somebody is in stays, until they have left',
    async () => {
      const [dying, other] = [machine(where), machine(where)]
      const theirs = await dying.make()
      const inside = control('exec', theirs, 'sh', '-c', 'until [ -e /tmp/over ]; do sleep 0.2; done; echo survived')
      await dying.kill()
      await other.looks(10)
      expect(await made()).toEqual([theirs])
      await control('exec', theirs, 'touch', '/tmp/over')
      expect(await inside).toBe('survived')
      await until('it is removed', async () => (await made()).length === 0, LONG)
      await other.close()
    },
    LONG,
  )

  test(
    'with one folder its socket tells, at once',
    async () => {
      const [dying, living] = [machine(where, 'shared'), machine(where, 'shared')]
      const [theirs, ours] = [await dying.make(), await living.make()]
      await dying.kill()
      const next = machine(where, 'shared')
      await until('it is removed', async () => (await made()).join() === ours, 15_000)
      expect(theirs).not.toBe(ours)
      await Promise.all([living.close(), next.close()])
      expect(await made()).toEqual([])
    },
    LONG,
  )
})

test(
  'an engine that hangs while one renews its lease: what somebody is in stays, and all does once it is renewed',
  async () => {
    const proxy = await startHangingEngine()
    onTestFinished(() => proxy.close())
    const [slow, other] = [machine({ endpoint: proxy.endpoint, callDeadline: 2000 }), machine({ endpoint: DOCKER })]
    const name = await slow.make()
    const inside = docker('exec', name, 'sh', '-c', 'until [ -e /tmp/over ]; do sleep 0.2; done; echo survived')
    proxy.hang(/\/volumes/)
    await until('a renewal is lost', () => proxy.lost.length > 0)
    await other.looks(10)
    expect(await docker('inspect', '-f', '{{.State.Status}}', name)).toBe('running')
    const lost = proxy.lost.length
    proxy.release()
    const [mark = ''] = await leases(name)
    await until('it is renewed again', async () => !(await leases(name)).includes(mark))
    await docker('exec', name, 'touch', '/tmp/over')
    expect(await inside).toBe('survived')
    expect(lost).toBeGreaterThan(0)
    await other.looks(10)
    expect(await docker('inspect', '-f', '{{.State.Status}}', name)).toBe('running')
    await Promise.all([slow.close(), other.close()])
    expect(await docker('ps', '-a', '--filter', `name=${name}`, '--format', '{{.Names}}')).toBe('')
  },
  LONG,
)

async function leases(container: string): Promise<string[]> {
  const instance = await docker('inspect', '-f', '{{index .Config.Labels "hatchway.instance"}}', container)
  const volumes = (await docker('volume', 'ls', '-q')).split('\n')
  return volumes.filter((volume) => volume.startsWith(`hatchway-lease-${instance}`))
}
