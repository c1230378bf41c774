/** A CLI that is told which engine: the same in each of its calls, before the command; each in its own spelling. */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createCliEngine } from '../../src/engine/cli/cli.ts'
import type { Engine } from '../../src/engine/engine.ts'
import { copiesOf } from '../support/copies.ts'

const ID = 'a'.repeat(64)
const VERSION = '2.3.0'
const INSPECTION = JSON.stringify([
  { Id: ID, Name: '/web', State: { Status: 'running', StartedAt: '2026-01-01T00:00:00Z' }, HostConfig: {} },
])

let home: string
let engine: Engine | undefined
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'hw-test-cli-endpoint-'))
})
afterEach(async () => {
  await engine?.close()
  vi.unstubAllEnvs()
  await rm(home, { recursive: true })
})

/** A CLI that notes how it was called, a line a call, and answers what is asked for. */
async function open(
  name: string,
  endpoint?: string,
  version = VERSION,
): Promise<{ engine: Engine; calls(): Promise<string[]> }> {
  const binary = join(home, name)
  const script = `#!/bin/sh
echo "$@" >>${home}/calls
case " $* " in
*" version "*) echo '${JSON.stringify({ Version: version, Arch: 'amd64' })}';;
*" context inspect "*) echo unix:///var/run/docker.sock;;
*" inspect "*) echo '${INSPECTION}';;
*" ps "*) printf '${ID}\\tUp\\n';;
*" create "*) echo ${ID};;
*" run "*) echo held; cat;;
esac
`
  await writeFile(binary, script)
  await chmod(binary, 0o755)
  engine = createCliEngine({ binary, ...(endpoint !== undefined && { endpoint }) })
  const calls = async () => (await readFile(join(home, 'calls'), 'utf8')).trimEnd().split('\n')
  return { engine, calls }
}

const soon = () => AbortSignal.timeout(20_000)
const quiet = { write: () => true }

describe.each([
  ['docker', 'ssh://ops@build2', '--host=ssh://ops@build2'],
  ['docker', '/run/other.sock', '--host=unix:///run/other.sock'],
  ['podman', 'unix:///run/user/1000/podman/podman.sock', '--url=unix:///run/user/1000/podman/podman.sock'],
  ['podman-remote', 'ssh://core@box:2222/run/podman/podman.sock', '--url=ssh://core@box:2222/run/podman/podman.sock'],
  ['nerdctl', '/run/k3s/containerd/containerd.sock', '--address=unix:///run/k3s/containerd/containerd.sock'],
])('%s at %s', (name, endpoint, option) => {
  test('every call names it first', async () => {
    const { engine, calls } = await open(name, endpoint)
    expect(engine.endpoint).toBe(endpoint)
    await engine.info(soon())
    await engine.list(soon())
    await copiesOf(engine).copyOut(ID, '/etc/passwd', 100, soon())
    await copiesOf(engine).copyIn(ID, '/', Buffer.alloc(0), soon())
    await copiesOf(engine).readArchive(ID, '/etc', soon())
    await copiesOf(engine).writeArchive(ID, '/', Readable.from([]), soon())
    await engine.lifecycle?.pull('i', () => {}, soon())
    const spec = { name: 'n', image: 'i', env: [], labels: {}, mounts: [], init: false }
    await engine.lifecycle?.create(spec, soon())
    const image = { repository: 'r', tag: 't', tar: Buffer.alloc(0) }
    const holder = await engine.holders?.start({ containerId: ID, user: '0:0', image, argv: ['/x'] }, soon())
    await holder?.close()
    const exec = { argv: ['true'], user: '0', cwd: '/', env: [] } as const
    expect(await (await engine.exec(ID, exec, quiet, soon())).exit).toEqual({ code: 0 })
    const terminal = { ...exec, tty: { rows: 24, cols: 80, xpixel: 0, ypixel: 0 } }
    expect(await (await engine.exec(ID, terminal, quiet, soon())).exit).toEqual({ code: 0 })
    const events = new AbortController()
    const following = (async () => {
      for await (const _ of engine.events(events.signal)) events.abort()
    })()
    await expect.poll(async () => (await calls()).some((call) => call.includes(' events '))).toBe(true)
    events.abort()
    await following
    const all = await calls()
    expect(all.filter((call) => !call.startsWith(`${option} `))).toEqual([])
    for (const command of ['version', 'ps', 'inspect', 'cp', 'pull', 'create', 'run', 'exec', 'events']) {
      expect(all.map((call) => call.split(' ')[1])).toContain(command)
    }
  })
})

test.each([
  ['docker', 'ssh://ops@build2', {}, false],
  ['docker', 'unix:///run/other.sock', { DOCKER_HOST: 'ssh://far' }, true],
  ['docker', undefined, { DOCKER_HOST: 'ssh://far' }, false],
  ['docker', undefined, {}, true],
  // Of another CLI.
  ['podman', undefined, { DOCKER_HOST: 'tcp://far:2375' }, true],
  ['podman', undefined, { CONTAINER_HOST: 'tcp://far:2375' }, false],
  ['podman', undefined, { CONTAINER_HOST: 'unix:///run/podman/podman.sock' }, true],
  ['podman', undefined, { CONTAINER_CONNECTION: 'far' }, false],
  ['podman', 'unix:///run/podman/podman.sock', { CONTAINER_CONNECTION: 'far' }, true],
  ['nerdctl', undefined, { CONTAINERD_ADDRESS: '/run/k3s/containerd/containerd.sock' }, true],
])('%s at %s with %o is on this host: %s', async (name, endpoint, env, local) => {
  for (const key of ['DOCKER_HOST', 'CONTAINER_HOST', 'CONTAINER_CONNECTION', 'CONTAINERD_ADDRESS']) {
    vi.stubEnv(key, undefined)
  }
  for (const [key, value] of Object.entries(env)) vi.stubEnv(key, value)
  const { engine } = await open(name, endpoint)
  expect((await engine.info(soon())).local).toBe(local)
})

test('a password in the address is the CLI’s alone', async () => {
  const { engine, calls } = await open('podman', 'ssh://core:secret@box/run/podman.sock')
  expect(engine.endpoint).toBe('ssh://core@box/run/podman.sock')
  await engine.info(soon())
  expect(await calls()).toEqual([expect.stringContaining('core:secret@box')])
})

test.each(['v1.7.6', '2.2.1', 'v2.0.0-rc.1', '<unknown>'])(
  'nerdctl %s, which would make a file called "-", copies nothing, and says so; it is asked again',
  async (version) => {
    const { engine, calls } = await open('nerdctl', undefined, version)
    const words = `nerdctl ${version} at the gateway cannot copy to and from containers by a stream: it has to be 2.3 or newer`
    const refused = { code: 'ENGINE_ERROR', message: words }
    await expect(engine.info(soon())).rejects.toMatchObject(refused)
    for (const copy of [
      () => copiesOf(engine).copyOut(ID, '/etc/passwd', 100, soon()),
      () => copiesOf(engine).copyIn(ID, '/', Buffer.alloc(0), soon()),
      () => copiesOf(engine).readArchive(ID, '/etc', soon()),
      () => copiesOf(engine).writeArchive(ID, '/', Readable.from([]), soon()),
    ]) {
      await expect(copy()).rejects.toMatchObject(refused)
    }
    expect((await calls()).filter((call) => !call.startsWith('version '))).toEqual([])
  },
)

test.each(['v2.3.0', '2.10.1', 'v3.0.0-beta.1'])(
  'nerdctl %s copies, and is asked for its version once',
  async (version) => {
    const { engine, calls } = await open('nerdctl', undefined, version)
    await copiesOf(engine).copyOut(ID, '/etc/passwd', 100, soon())
    await copiesOf(engine).copyOut(ID, '/etc/group', 100, soon())
    expect((await calls()).map((call) => call.split(' ')[0])).toEqual(['version', 'cp', 'cp'])
  },
)

test('docker and podman are not asked for their version before they copy', async () => {
  const { engine, calls } = await open('podman', undefined, '4.3.1')
  await copiesOf(engine).copyOut(ID, '/etc/passwd', 100, soon())
  expect((await calls()).map((call) => call.split(' ')[0])).toEqual(['cp'])
})
