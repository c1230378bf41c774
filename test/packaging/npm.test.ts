/** `npm pack` and what a person does with the result. */
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { docker, startContainer, type TestContainer } from '../support/containers.ts'
import { type Gateway, type GatewayOptions, startGateway } from '../support/gateway.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'
import { until } from '../support/wait.ts'
import { copySource, type Source } from './source.ts'

const MINUTES = 60_000
const MEGABYTE = 1_000_000

let scratch: string
let root: string
let source: Source
let keys: Keys
let container: TestContainer
const closers: (() => unknown)[] = []

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'hw-test-npm-'))
  root = join(scratch, 'lib/node_modules/hatchway')
  keys = await makeKeys()
  container = await startContainer('busybox')
  source = await copySource()
  const packed = await run('npm', ['pack', '--pack-destination', scratch], { cwd: source.folder, limit: 5 * MINUTES })
  expect(packed.code, packed.stderr.toString()).toBe(0)
  const [tarball = ''] = (await readdir(scratch)).filter((name) => name.endsWith('.tgz'))
  // A machine without a compiler, whatever npm's release thinks of install scripts.
  const tools = join(scratch, 'tools')
  await mkdir(tools)
  for (const name of ['cc', 'gcc', 'c++', 'g++', 'make']) {
    await writeFile(join(tools, name), '#!/bin/sh\nexit 127\n')
    await chmod(join(tools, name), 0o755)
  }
  const install = ['install', '--global', '--prefix', scratch, '--prefer-offline', '--no-audit', '--no-fund']
  const env = { PATH: `${tools}:${process.env.PATH}` }
  const installed = await run('npm', [...install, join(scratch, tarball)], { cwd: scratch, env, limit: 5 * MINUTES })
  expect(installed.code, installed.stderr.toString()).toBe(0)
}, 12 * MINUTES)

afterAll(async () => {
  for (const close of closers.reverse()) await close()
  await container?.remove()
  await keys?.close()
  await source?.close()
  await rm(scratch, { recursive: true, force: true })
})

const hatchway = (...args: string[]) =>
  run(join(scratch, 'bin/hatchway'), args, {
    cwd: scratch,
    env: { HOME: scratch, HATCHWAY_CONFIG: '/dev/null' },
    limit: MINUTES,
  })

async function gatewayOf(options: Omit<GatewayOptions, 'keys'>, user: string) {
  const gateway = await startGateway({ keys, ...options })
  closers.push(() => gateway.stop())
  const client = await makeSshClient(gateway.target(user))
  closers.push(() => client.close())
  return { gateway, client }
}

describe('the npm package', () => {
  it('has both helpers, the manual page and the unit, and nothing of the sources', async () => {
    expect(await readdir(root)).toEqual(expect.arrayContaining(['dist', 'docs', 'config', 'guest', 'packaging']))
    expect((await readdir(root)).filter((name) => ['src', 'test', 'keys', 'bench'].includes(name))).toEqual([])
    expect((await readdir(join(root, 'guest/bin'))).sort()).toEqual(['hatchway-guest-arm64', 'hatchway-guest-x64'])
    const page = await run('man', ['--warnings', '-l', join(root, 'dist/hatchway.1')], { env: { MANWIDTH: '80' } })
    expect([page.code, page.stderr.toString()]).toEqual([0, ''])
    expect(page.stdout.toString()).toMatch(/hatchway serve[\s\S]*--authorized-keys/)
    expect(await readdir(join(root, 'dist'))).toContain('hatchway.yaml.5')
  })

  it('is small, and brings of other packages only ssh2 and what that needs', async () => {
    const [tarball = ''] = (await readdir(scratch)).filter((name) => name.endsWith('.tgz'))
    expect((await readFile(join(scratch, tarball))).length).toBeLessThan(1.2 * MEGABYTE)
    const size = await run('du', ['-sb', join(scratch, 'lib')])
    expect(Number.parseInt(size.stdout.toString(), 10)).toBeLessThan(6 * MEGABYTE)
    const brought = await readdir(join(root, 'node_modules'))
    expect(brought).toContain('ssh2')
    expect(brought.filter((name) => ['pino', 'zod', 'execa', 'node-pty'].includes(name))).toEqual([])
  })

  it('carries the licence of every package that the bundle holds a part of', async () => {
    const notice = await readFile(join(root, 'dist/NOTICE'), 'utf8')
    const [, ...parts] = notice.split(`\n${'-'.repeat(80)}\n\n`)
    expect(parts.map((part) => part.split(' ')[0])).toEqual(
      expect.arrayContaining(['commander', 'pino', 'zod', 'execa']),
    )
    for (const part of parts) expect(part).toMatch(/copyright/i)
  })

  it('says why it cannot be packed without the other processor’s compiler', async () => {
    await rm(join(source.folder, 'guest/bin'), { recursive: true })
    const missing = { CROSS_ARM64: 'no-such-compiler', CROSS_X64: 'no-such-compiler' }
    const packed = await run('npm', ['pack', '--dry-run'], { cwd: source.folder, env: missing, limit: MINUTES })
    expect(packed.code).not.toBe(0)
    expect(packed.stderr.toString()).toContain('apt-get install gcc-aarch64-linux-gnu')
  })

  it('completes its commands in a shell', async () => {
    expect((await hatchway('complete', '--', 'serv')).stdout.toString()).toMatch(/^serve\t/)
    expect((await hatchway('completion', 'bash')).stdout.toString()).toMatch(/^complete .*-F /m)
  })
})

describe('what was installed without a compiler', () => {
  it(
    'opens a session',
    async () => {
      const doctor = JSON.parse((await hatchway('doctor', '--json')).stdout.toString())
      expect(doctor).toContainEqual(expect.objectContaining({ check: 'engine', state: 'ok' }))
      expect(doctor).toContainEqual(expect.objectContaining({ check: 'guest helper', state: 'ok' }))
      expect(doctor).toContainEqual(
        expect.objectContaining({ check: 'node-pty', state: 'ok', found: expect.stringContaining('not installed') }),
      )

      const proxy = `${join(scratch, 'bin/hatchway')} stdio --authorized-keys ${keys.authorized} --keys ${join(scratch, 'keys')}`
      const options = ['BatchMode=yes', 'StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR']
      const ssh = await run(
        'ssh',
        [
          ...['-F', 'none', '-i', keys.ed25519, ...options.flatMap((option) => ['-o', option])],
          ...['-o', `ProxyCommand=${proxy}`, '-l', `dev@${container.name}`, 'anywhere', 'id -un; exit 42'],
        ],
        { cwd: scratch, env: { HATCHWAY_CONFIG: '/dev/null' }, limit: 2 * MINUTES },
      )
      expect([ssh.stderr.toString(), ssh.stdout.toString(), ssh.code]).toEqual(['', 'dev\n', 42])
    },
    3 * MINUTES,
  )

  it(
    'has terminals by the API and by the helper; by the cli engine alone it says what is missing, and goes on',
    async () => {
      const main = join(root, 'dist/main.js')
      const user = `dev@${container.name}`
      const roads = [
        { engine: 'docker', guest: 'off' },
        { engine: 'cli', guest: 'require' },
      ] as const
      for (const road of roads) {
        const { client } = await gatewayOf({ ...road, main }, user)
        const it = await client.ssh(['-tt', 't', 'tty; exit 5'], { limit: MINUTES })
        expect([it.stdout.toString(), it.code]).toEqual([expect.stringMatching(/^\/dev\/pts\/\d+\r\n$/), 5])
      }
      const { client } = await gatewayOf({ engine: 'cli', guest: 'off', main }, user)
      const without = await client.ssh(['-tt', 't', 'tty; exit 6'], { limit: MINUTES })
      expect([without.stderr.toString() + without.stdout.toString(), without.code]).toEqual([
        expect.stringMatching(
          /hatchway: node-pty is not installed.*: the session goes on without one\r?\n[\s\S]*not a tty/,
        ),
        6,
      ])
    },
    5 * MINUTES,
  )
})

describe('a running gateway whose files are gone', () => {
  let folder: string
  let file: string
  let helped: { gateway: Gateway; client: SshClient }
  let plain: { gateway: Gateway; client: SshClient }

  beforeAll(async () => {
    folder = join(scratch, 'replaced')
    await cp(root, folder, { recursive: true })
    file = join(scratch, 'plain.yaml')
    await writeFile(file, 'log: { level: debug }\n')
    const main = join(folder, 'dist/main.js')
    const user = `dev@${container.name}`
    const args = ['--config', file]
    helped = await gatewayOf({ engine: 'docker', guest: 'require', main, args }, user)
    plain = await gatewayOf({ engine: 'docker', guest: 'off', main, args }, user)
    for (const { gateway } of [helped, plain]) {
      await until('it is loaded', () => gateway.log().includes('the whole program is loaded'), MINUTES)
    }
    await rm(folder, { recursive: true })
  }, 3 * MINUTES)

  it('delivers its helper, and forwards', async () => {
    const it = await helped.client.exec('id -un', { limit: MINUTES })
    expect([it.stderr.toString(), it.stdout.toString()]).toEqual(['', 'dev\n'])
    await container.inside('(echo from inside | nc -l -p 7777) >/dev/null 2>&1 &')
    const through = await helped.client.ssh(['-W', '127.0.0.1:7777', 't'], { limit: MINUTES })
    expect([through.stderr.toString(), through.stdout.toString()]).toEqual(['', 'from inside\n'])
  })

  it('serves sftp by the helper and by its own server', async () => {
    for (const { client } of [helped, plain]) {
      const it = await client.sftp(`put ${file} /tmp/plain.yaml\nls -1 /tmp\n`, { limit: MINUTES })
      expect([it.stderr.toString(), it.code]).toEqual(['', 0])
      expect(it.stdout.toString()).toContain('plain.yaml')
    }
  })

  it('asks for the container', async () => {
    const client = await makeSshClient(helped.gateway.target('dev@'))
    closers.push(() => client.close())
    const terminal = client.terminal(['-t', 't'])
    closers.push(() => terminal.kill())
    await terminal.expect(container.name, MINUTES)
    terminal.send(`${container.name}\r`)
    await terminal.expect(/[$#] /, MINUTES)
    terminal.send('exit 8\r')
    expect(await terminal.exit(MINUTES)).toBe(8)
  })

  it('reads its configuration again, and asks a program that is new in it', async () => {
    const program = join(scratch, 'may-they')
    const asked = join(scratch, 'asked')
    await writeFile(program, `#!/bin/sh\ncat >>${asked}\necho '{"allow": true}'\n`)
    await chmod(program, 0o755)
    await writeFile(file, `log: { level: debug }\nauthorization: { command: [${program}] }\n`)
    process.kill(plain.gateway.pid, 'SIGHUP')
    await until('it was read', () => plain.gateway.log().includes('configuration and keys reloaded'), MINUTES)
    const it = await plain.client.exec('true', { limit: MINUTES })
    expect([it.stderr.toString(), it.code]).toEqual(['', 0])
    expect(await readFile(asked, 'utf8')).toContain(container.name)
  })

  it('stops in good order', async () => {
    expect([await helped.gateway.stop(MINUTES), await plain.gateway.stop(MINUTES)]).toEqual([0, 0])
    for (const { gateway } of [helped, plain]) expect(gateway.log()).not.toMatch(/a fault of ours|ERR_MODULE_NOT_FOUND/)
    expect(await docker('ps', '-q', '--filter', `name=${container.name}`)).not.toBe('')
  })
})
