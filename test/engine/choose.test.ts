/** Which engine is taken: what is named, else the first that is there, and never another because that one fails. */
import { createHash } from 'node:crypto'
import { chmod, link, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { adviceOnEngine } from '../../src/engine/advice.ts'
import { type ChosenEngine, chooseEngine, type EngineChoice, openEngine } from '../../src/engine/choose.ts'
import { createChangingEngine } from '../../src/engine/choose-again.ts'
import { createDockerEngine } from '../../src/engine/docker/docker.ts'
import { type HangingEngine, startHangingEngine } from '../support/hanging-engine.ts'

let home: string
const closers: (() => Promise<unknown>)[] = []

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'hw-test-choose-'))
})
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
  await rm(home, { recursive: true, force: true })
})

/** A user of this test's own: no docker context, no CLI. */
const env = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  DOCKER_CONFIG: home,
  PATH: join(home, 'bin'),
  ...more,
})
const soon = () => AbortSignal.timeout(20_000)

async function context(name: string, host: string): Promise<void> {
  const folder = join(home, 'contexts', 'meta', createHash('sha256').update(name).digest('hex'))
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'meta.json'), JSON.stringify({ Endpoints: { docker: { Host: host } } }))
}

/** A CLI that answers everything as an empty Podman would. */
async function emptyCli(...names: string[]): Promise<void> {
  await mkdir(join(home, 'bin'), { recursive: true })
  for (const name of names) {
    const file = join(home, 'bin', name)
    await writeFile(file, '#!/bin/sh\necho \'{"Version":"4.3.1","OsArch":"linux/amd64"}\'\n')
    await chmod(file, 0o755)
  }
}

async function hanging(): Promise<HangingEngine> {
  const engine = await startHangingEngine()
  closers.push(() => engine.close())
  return engine
}

const chosen = (choice: Partial<EngineChoice>, more?: NodeJS.ProcessEnv): Promise<ChosenEngine> =>
  chooseEngine({ kind: 'auto', ...choice }, env(more))

test('what the configuration names comes before DOCKER_HOST, and that before the context', async () => {
  await writeFile(join(home, 'config.json'), '{"currentContext":"far"}')
  await context('far', 'tcp://far:2375')
  const tcp = (host: string) => ({ kind: 'api', address: { kind: 'tcp', host, port: 2375 } })
  const host = { DOCKER_HOST: 'tcp://near:2375' }
  expect(await chosen({ endpoint: 'tcp://own:2375' }, host)).toEqual({ ...tcp('own'), by: 'engine.endpoint' })
  expect(await chosen({}, host)).toEqual({ ...tcp('near'), by: 'DOCKER_HOST' })
  expect(await chosen({})).toEqual({ ...tcp('far'), by: 'docker context far' })
  expect(await chosen({ cli: 'podman' })).toEqual({ kind: 'cli', binary: 'podman', by: 'engine.cli' })
})

test('an address that only Docker’s CLI reaches is not given to another CLI', async () => {
  await emptyCli('podman')
  expect(await chosen({}, { DOCKER_HOST: 'ssh://far' })).toMatchObject({ kind: 'cli', binary: 'docker' })
  expect(await chosen({ kind: 'cli' }, { DOCKER_HOST: 'tcp://far' })).toMatchObject({ kind: 'cli', binary: 'docker' })
  expect(await chosen({ kind: 'cli' })).toMatchObject({ kind: 'cli', binary: 'podman' })
  expect(await chosen({ endpoint: 'ssh://far' })).toMatchObject({ kind: 'api', address: { kind: 'ssh', host: 'far' } })
  await expect(chosen({ endpoint: 'npipe:////./pipe/docker' })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: 'npipe:////./pipe/docker (engine.endpoint) has no API, only a CLI reaches it: engine.kind cli',
  })
})

test('a CLI is given the address that the configuration names, whatever the environment says', async () => {
  await emptyCli('podman')
  const host = { DOCKER_HOST: 'tcp://near:2375' }
  const by = 'engine.endpoint'
  const far = { kind: 'cli', endpoint: 'ssh://far', by }
  expect(await chosen({ kind: 'cli', endpoint: 'ssh://far', cli: '/opt/docker' }, host)).toEqual({
    ...far,
    binary: '/opt/docker',
  })
  expect(await chosen({ kind: 'cli', endpoint: 'ssh://far' }, host)).toEqual({ ...far, binary: 'podman' })
  // Two are named: the address is of the API.
  expect(await chosen({ endpoint: 'tcp://own:2375', cli: 'podman' })).toMatchObject({ kind: 'api', by })
})

test('a CLI that does not reach what the configuration names is told with that address, without a password', async () => {
  await mkdir(join(home, 'bin'))
  const binary = join(home, 'bin', 'podman')
  await writeFile(binary, '#!/bin/sh\necho "Error: unable to connect to Podman socket: no route" >&2\nexit 125\n')
  await chmod(binary, 0o755)
  const choice = { kind: 'cli', cli: binary, endpoint: 'ssh://core:secret@far/run/podman.sock' } as const
  await expect(openEngine(choice, soon(), env())).rejects.toThrow(
    `${binary} at ssh://core@far/run/podman.sock (engine.endpoint): `,
  )
  expect(adviceOnEngine(await chooseEngine(choice, env()), 'ssh://core@far/run/podman.sock')).toBe(
    `install ${binary}, and see that \`${binary} --url=ssh://core@far/run/podman.sock ps\` works by itself, without a question, or correct engine.endpoint`,
  )
})

test('an address that cannot be read is refused with who named it and what is expected', async () => {
  const expected = 'expected unix:///PATH, tcp://HOST:PORT or https://HOST:PORT'
  await expect(chosen({}, { DOCKER_HOST: 'bogus' })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: `DOCKER_HOST: "bogus" is no address of an engine: ${expected}`,
  })
  await expect(chosen({ endpoint: 'tcp://' })).rejects.toThrow('engine.endpoint: "tcp://" is no address')
  await context('odd', 'gopher://far')
  await expect(chosen({}, { DOCKER_CONTEXT: 'odd' })).rejects.toThrow(
    'docker context odd: "gopher://far" is no address',
  )
})

test('an engine that only a CLI reaches is told by the address that the CLI was given', async () => {
  await mkdir(join(home, 'bin'))
  const file = join(home, 'bin', 'docker')
  await writeFile(
    file,
    '#!/bin/sh\necho "error during connect: Get x: command [ssh far] has exited, make sure: stderr=no route to host" >&2\nexit 1\n',
  )
  await chmod(file, 0o755)
  const path = process.env.PATH
  process.env.PATH = join(home, 'bin')
  closers.push(async () => {
    process.env.PATH = path
  })
  await expect(openEngine({ kind: 'auto' }, soon(), env({ DOCKER_HOST: 'ssh://far' }))).rejects.toThrow(
    'docker at ssh://far (DOCKER_HOST): the container engine is not reachable (error during connect: no route to host)',
  )
})

test('a context that is named and is not there is not the default one', async () => {
  await expect(chosen({}, { DOCKER_CONTEXT: 'gone' })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('docker context "gone" cannot be read'),
  })
})

test('a named engine that is missing, refused or silent is told by its name and not replaced', async () => {
  await emptyCli('docker', 'podman')
  const silent = await hanging()
  silent.hang(/./)
  // No socket listens at what a killed engine leaves.
  const left = join(home, 'left.sock')
  await new Promise<void>((resolve) => {
    const server = net.createServer().listen(join(home, 'there.sock'), async () => {
      await link(join(home, 'there.sock'), left)
      server.close(() => resolve())
    })
  })
  for (const [endpoint, code, words] of [
    [`unix://${home}/none.sock`, 'ENGINE_UNAVAILABLE', 'its socket is missing'],
    [`unix://${left}`, 'ENGINE_UNAVAILABLE', 'connection refused'],
    ['tcp://127.0.0.1:1', 'ENGINE_UNAVAILABLE', 'connection refused'],
  ] as const) {
    await expect(openEngine({ kind: 'auto' }, soon(), env({ DOCKER_HOST: endpoint }))).rejects.toMatchObject({
      code,
      message: `${endpoint} (DOCKER_HOST): the container engine is not reachable (${words})`,
    })
  }
  const impatient = AbortSignal.timeout(300)
  await expect(openEngine({ kind: 'auto', endpoint: silent.endpoint }, impatient, env())).rejects.toThrow(
    `${silent.endpoint} (engine.endpoint): `,
  )
})

test('a socket that is there is the engine, however it fails, and the next one is only named', async () => {
  await emptyCli('docker', 'podman')
  await mkdir(join(home, 'podman'))
  const [first, next] = [join(home, 'docker.sock'), join(home, 'podman', 'podman.sock')]
  await writeFile(next, '')
  const own = await chosen({}, { XDG_RUNTIME_DIR: home })
  // Where this machine has Docker's own socket, that one comes first.
  expect(own.kind).toBe('api')
  await writeFile(first, '')
  const { others } = await chosen({}, { XDG_RUNTIME_DIR: home })
  expect(others).toContain(`unix://${next}`)
})

test('a slow engine is waited for', async () => {
  const engine = await hanging()
  engine.hang(/^GET \/version/)
  const opening = openEngine({ kind: 'auto', endpoint: engine.endpoint }, soon(), env())
  setTimeout(() => engine.release(), 300)
  const opened = await opening
  expect(opened.endpoint).toBe(engine.endpoint)
  await opened.close()
})

test('a lazy start goes on with what was named, at once and whatever its signal says', async () => {
  await emptyCli('docker', 'podman')
  const silent = await hanging()
  silent.hang(/./)
  const fired = AbortSignal.abort(new Error('20 s are over'))
  for (const endpoint of [silent.endpoint, `unix://${home}/none.sock`]) {
    const opened = await openEngine({ kind: 'auto', endpoint, lazy: true }, fired, env())
    expect(opened.endpoint).toBe(endpoint)
    await opened.close()
  }
})

test('the events of an engine that may change end when it is closed', async () => {
  const engine = createChangingEngine(
    createDockerEngine({ endpoint: `unix://${home}/none.sock` }),
    async () => undefined,
  )
  const told: string[] = []
  for await (const { type } of engine.events(soon())) {
    told.push(type)
    await engine.close()
  }
  expect(told).toEqual(['lost'])
})

test('containerd is taken where it is named and nowhere else, with its usual socket and namespace', async () => {
  expect(await chooseEngine({ kind: 'containerd' }, env({ DOCKER_HOST: 'tcp://far:1' }))).toEqual({
    kind: 'containerd',
    socket: '/run/containerd/containerd.sock',
    namespace: 'default',
    by: 'engine.kind',
  })
  const socket = join(home, 'c.sock')
  const chosen = await chooseEngine({ kind: 'containerd', socket, namespace: 'k8s.io' }, env())
  expect(chosen).toEqual({ kind: 'containerd', socket, namespace: 'k8s.io', by: 'engine.socket' })
  expect(adviceOnEngine(chosen, '')).toBe(
    `no socket at ${socket}: start containerd (systemctl start containerd), or correct engine.socket; k3s and RKE2 have theirs in /run/k3s/containerd`,
  )
  await writeFile(socket, '')
  expect(adviceOnEngine(chosen, '')).toContain('is containerd running?')
  await expect(openEngine({ kind: 'containerd', socket }, soon(), env())).rejects.toMatchObject({
    code: 'ENGINE_UNAVAILABLE',
    message: `unix://${socket}, namespace default (engine.socket): the container engine is not reachable (connection refused)`,
  })
})

test('what is containerd’s is not taken for another kind, nor the other way', async () => {
  const wrong: EngineChoice[] = [
    { kind: 'auto', socket: '/x' },
    { kind: 'docker', namespace: 'x' },
    { kind: 'containerd', endpoint: 'unix:///x' },
    { kind: 'containerd', cli: 'nerdctl' },
  ]
  for (const choice of wrong) {
    await expect(chooseEngine(choice, env()), JSON.stringify(choice)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  }
})
