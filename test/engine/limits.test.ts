/** An engine that leaves a limit out with a warning at most: what it made is not used. Both drivers, against a fake. */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createCliEngine } from '../../src/engine/cli/cli.ts'
import { createDockerEngine } from '../../src/engine/docker/docker.ts'
import type { ContainerSpec, Engine } from '../../src/engine/engine.ts'

const ID = 'a'.repeat(64)
const SPEC: ContainerSpec = {
  ...{ name: 'made', image: 'i', env: [], labels: {}, mounts: [], init: false },
  ...{ memory: 64 * 1024 * 1024, cpus: 0.3, pids: 50 },
}
const ALL = { Memory: SPEC.memory, NanoCpus: 300_000_000, PidsLimit: 50 }

/** What an engine makes of it: the HostConfig that it has then, its warnings, whether it answers the inspection. */
interface Maker {
  readonly host: object
  readonly warnings?: readonly string[]
  readonly inspects?: boolean
}

interface World {
  readonly engine: Engine
  removed(): Promise<boolean>
  close(): Promise<unknown>
}

let home: string
let world: World | undefined
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'hw-test-limits-'))
})
afterEach(async () => {
  await world?.close()
  world = undefined
  await rm(home, { recursive: true })
})

async function api({ host, warnings = [], inspects = true }: Maker): Promise<World> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    const line = `${request.method} ${request.url}`
    asked.push(line)
    const answer = (status: number, json?: object) => response.writeHead(status).end(json && JSON.stringify(json))
    if (line.startsWith('GET /version')) return answer(200, { Version: '4', ApiVersion: '1.41', MinAPIVersion: '1.24' })
    if (line.includes('/containers/create')) return answer(201, { Id: ID, Warnings: warnings })
    if (line.startsWith('DELETE')) return answer(204)
    return inspects ? answer(200, { Id: ID, HostConfig: host }) : answer(500, { message: 'oops' })
  })
  await new Promise<void>((resolve) => server.listen(join(home, 's'), resolve))
  const engine = createDockerEngine({ endpoint: `unix://${home}/s` })
  return {
    engine,
    removed: async () => asked.some((line) => line.startsWith(`DELETE /v1.41/containers/${ID}`)),
    close: () => engine.close().then(() => server.close()),
  }
}

async function cli({ host, warnings = [], inspects = true }: Maker): Promise<World> {
  const binary = join(home, 'docker')
  const file = async (name: string, text: string) => {
    await writeFile(join(home, name), text)
    return join(home, name)
  }
  const inspection = await file('inspection', JSON.stringify([{ Id: ID, HostConfig: host }]))
  const said = await file('warnings', warnings.map((text) => `${text}\n`).join(''))
  const script = `case $1 in
create) cat ${said} >&2; echo ${ID};;
inspect) ${inspects ? `cat ${inspection}` : 'exit 1'};;
rm) echo "$@" >${home}/removed;;
esac`
  await writeFile(binary, `#!/bin/sh\n${script}\n`)
  await chmod(binary, 0o755)
  const engine = createCliEngine({ binary })
  const removed = async () => (await readFile(join(home, 'removed'), 'utf8').catch(() => '')).includes(ID)
  return { engine, removed, close: () => engine.close() }
}

const REFUSED = 'container made was not made: the container engine cannot limit'
const ROOTLESS = 'Resource limits are not supported and ignored on cgroups V1 rootless systems'

describe.each([
  ['docker', api],
  ['cli', cli],
] as const)('engine %s', (_name, open) => {
  const create = async (maker: Maker, spec = SPEC) => {
    world = await open(maker)
    return world.engine.lifecycle?.create(spec, AbortSignal.timeout(10_000))
  }

  test('takes what has all its limits, also where a CPU is told as a quota or swap is not limited', async () => {
    const swap =
      'Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.'
    expect(await create({ host: ALL, warnings: [swap] })).toBe(ID)
    await world?.close()
    expect(await create({ host: { ...ALL, NanoCpus: 0, CpuQuota: 30_000, CpuPeriod: 100_000 } })).toBe(ID)
    expect(await world?.removed()).toBe(false)
  })

  test.each([
    ['memory', { ...ALL, Memory: 0 }, 'its memory here'],
    ['CPUs', { ...ALL, NanoCpus: 0 }, 'its CPUs here'],
    ['processes', { ...ALL, PidsLimit: null }, 'its processes here'],
    ['processes, the engine’s own limit being higher', { ...ALL, PidsLimit: 2048 }, 'its processes here'],
    ['everything', {}, 'its memory and CPUs and processes here'],
  ])('refuses and removes what was made without a limit of %s', async (_limit, host, words) => {
    await expect(create({ host })).rejects.toMatchObject({
      code: 'CONTAINER_START_FAILED',
      message: `${REFUSED} ${words}`,
    })
    expect(await world?.removed()).toBe(true)
  })

  test.each([
    ROOTLESS,
    'Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.',
    'Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.',
  ])('believes the warning and not the inspection: %s', async (warning) => {
    await expect(create({ host: ALL, warnings: [warning] })).rejects.toMatchObject({
      message: `${REFUSED} what it uses here`,
      cause: { message: warning },
    })
    expect(await world?.removed()).toBe(true)
  })

  test('removes what it could not look at', async () => {
    await expect(create({ host: ALL, inspects: false })).rejects.toMatchObject({ code: 'ENGINE_ERROR' })
    expect(await world?.removed()).toBe(true)
  })

  test('does not look where nothing is to be limited', async () => {
    const { memory: _memory, cpus: _cpus, pids: _pids, ...free } = SPEC
    expect(await create({ host: {}, inspects: false }, free)).toBe(ID)
  })
})
