/** The engine under a running gateway: which one it is, that it goes and comes back, and that a likelier one comes up. */
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { startContainer, type TestContainer, testName } from '../support/containers.ts'
import { type Gateway, type GatewayOptions, startGateway } from '../support/gateway.ts'
import { startHangingEngine } from '../support/hanging-engine.ts'
import { type Keys, makeKeys, makeSshClient } from '../support/ssh.ts'
import { until } from '../support/wait.ts'

const TIMEOUT = 120_000

let keys: Keys
let container: TestContainer
let home: string
const closers: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  keys = await makeKeys()
  container = await startContainer('debian', { name: testName('web') })
})
afterAll(async () => {
  await container?.remove()
  await keys?.close()
})
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'hw-test-comes-'))
})
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
  await rm(home, { recursive: true, force: true })
})

async function gateway(options: Omit<GatewayOptions, 'keys'>): Promise<Gateway> {
  const started = await startGateway({ keys, ...options })
  closers.push(() => started.stop())
  return started
}

/** The machine's engine, at this name; resolves with how it goes again. */
async function engineAt(socket: string): Promise<() => Promise<unknown>> {
  const engine = await startHangingEngine()
  await symlink(engine.endpoint.slice('unix://'.length), socket)
  let gone = false
  const close = async () => {
    if (!gone) await Promise.all([engine.close(), rm(socket)])
    gone = true
  }
  closers.push(close)
  return close
}

async function login(to: Gateway) {
  const client = await makeSshClient(to.target(`dev@${container.name}`))
  const { code, stdout, stderr } = await client.exec('id -un', { limit: 60_000 })
  await client.close()
  return { code, out: stdout.toString(), err: stderr.toString() }
}

/** Sessions say that the engine is away, too: those lines have no endpoint. */
function engineLines({ log }: Gateway): Record<string, unknown>[] {
  const lines = log()
    .split('\n')
    .filter((line) => line.startsWith('{'))
  return lines.map((line): Record<string, unknown> => JSON.parse(line)).filter(({ endpoint }) => endpoint !== undefined)
}

const linesOf = (to: Gateway, count: number) =>
  until(`${count} lines about the engine`, () => engineLines(to).length >= count && engineLines(to), 30_000)

const IN = { code: 0, out: 'dev\n', err: '' }

test(
  'the log names the engine, says once that it goes, what to do, and once that it is back',
  async () => {
    const socket = join(home, 'docker.sock')
    const goes = await engineAt(socket)
    const running = await gateway({ engine: 'auto', env: { DOCKER_HOST: `unix://${socket}`, DOCKER_CONTEXT: '' } })
    const endpoint = `unix://${socket}`
    const named = {
      level: 'info',
      product: expect.stringMatching(/./),
      version: expect.stringMatching(/^\d/),
      endpoint,
    }
    expect(await linesOf(running, 1)).toEqual([expect.objectContaining({ ...named, msg: 'engine' })])
    expect(await login(running)).toEqual(IN)

    await goes()
    const [, away] = await linesOf(running, 2)
    expect(away).toMatchObject({
      level: 'warn',
      endpoint,
      msg: expect.stringMatching(/^the engine went away: sessions must wait: the container engine is not reachable/),
      advice: expect.stringContaining(`no socket at ${socket}`),
    })
    expect((await login(running)).err).toContain('the container engine is not reachable')

    await engineAt(socket)
    const [, , back] = await linesOf(running, 3)
    expect(back).toMatchObject({ ...named, msg: 'the engine is back' })
    expect(await login(running)).toEqual(IN)
    expect(engineLines(running)).toHaveLength(3)
  },
  TIMEOUT,
)

test(
  'a gateway that starts before its engine says what it waits for, and then which it is',
  async () => {
    const socket = join(home, 'docker.sock')
    const running = await gateway({ engine: 'auto', env: { DOCKER_HOST: `unix://${socket}`, DOCKER_CONTEXT: '' } })
    const waits = {
      level: 'warn',
      msg: expect.stringMatching(/^sessions must wait: the container engine is not reachable/),
    }
    const waiting = () =>
      running
        .log()
        .split('\n')
        .find((line) => line.includes('sessions must wait'))
    expect(JSON.parse(await until('it says so', waiting, 30_000))).toMatchObject({
      ...waits,
      endpoint: `unix://${socket}`,
      advice: expect.stringContaining(`no socket at ${socket}`),
    })
    await engineAt(socket)
    const there = () => engineLines(running).find(({ msg }) => msg === 'engine')
    expect(await until('it is there', there, 30_000)).toMatchObject({ endpoint: `unix://${socket}` })
    expect(await login(running)).toEqual(IN)
  },
  TIMEOUT,
)

test.skipIf(process.getuid?.() !== 0)(
  'Docker that comes up after an empty Podman was taken is the engine from then on (needs root for a /run of its own)',
  async () => {
    const [run, bin] = [join(home, 'run'), join(home, 'bin')]
    for (const folder of [run, bin]) await mkdir(folder)
    const podman = `#!/bin/sh\ncase $1 in
version) echo '{"Version":"4.3.1","OsArch":"linux/amd64"}' ;;
events) exec sleep 1000 ;;
inspect) echo 'Error: no such container' >&2; exit 125 ;;
esac\n`
    await writeFile(join(bin, 'podman'), podman)
    await chmod(join(bin, 'podman'), 0o755)
    await symlink('/bin/sh', join(bin, 'sh'))
    await symlink('/bin/sleep', join(bin, 'sleep'))
    const running = await gateway({
      engine: 'auto',
      env: { PATH: bin, DOCKER_HOST: '', DOCKER_CONFIG: home, XDG_RUNTIME_DIR: '' },
      within: ['/usr/bin/unshare', '-m', '/bin/sh', '-c', `/bin/mount --bind ${run} /run && exec "$@"`, 'sh'],
    })
    expect(await linesOf(running, 1)).toEqual([
      expect.objectContaining({ product: 'podman', endpoint: 'podman exec', msg: 'engine' }),
    ])
    expect((await login(running)).code).toBe(255)

    await engineAt(join(run, 'docker.sock'))
    const [, other] = await linesOf(running, 2)
    expect(other).toMatchObject({
      product: 'docker',
      endpoint: 'unix:///var/run/docker.sock',
      msg: 'another engine came up, and is used now',
    })
    expect(await login(running)).toEqual(IN)
  },
  TIMEOUT,
)
