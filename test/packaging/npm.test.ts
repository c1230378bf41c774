/** `npm pack` and what a person does with the result. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startContainer, type TestContainer } from '../support/containers.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys } from '../support/ssh.ts'
import { copySource } from './source.ts'

const MINUTES = 60_000

let scratch: string
let keys: Keys
let container: TestContainer

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'hw-test-npm-'))
  keys = await makeKeys()
  container = await startContainer('busybox')
  const source = await copySource()
  const packed = await run('npm', ['pack', '--pack-destination', scratch], { cwd: source.folder, limit: 5 * MINUTES })
  expect(packed.code, packed.stderr.toString()).toBe(0)
  await source.close()
  const [tarball = ''] = (await readdir(scratch)).filter((name) => name.endsWith('.tgz'))
  await writeFile(join(scratch, 'package.json'), '{}')
  // As npm 11 does it where nobody approved them: nothing is compiled.
  const install = ['install', '--ignore-scripts', '--omit=dev', '--prefer-offline', '--no-audit', '--no-fund']
  const installed = await run('npm', [...install, `./${tarball}`], { cwd: scratch, limit: 5 * MINUTES })
  expect(installed.code, installed.stderr.toString()).toBe(0)
}, 12 * MINUTES)

afterAll(async () => {
  await container?.remove()
  await keys?.close()
  await rm(scratch, { recursive: true, force: true })
})

const npx = (...args: string[]) =>
  run('npx', ['--no-install', 'hatchway', ...args], {
    cwd: scratch,
    env: { HOME: scratch, HATCHWAY_CONFIG: '/dev/null' },
    limit: MINUTES,
  })

describe('the npm package', () => {
  it('has both helpers, the manual page and the unit, and nothing of the sources', async () => {
    const root = join(scratch, 'node_modules/hatchway')
    expect(await readdir(root)).toEqual(expect.arrayContaining(['dist', 'docs', 'config', 'guest', 'packaging']))
    expect((await readdir(root)).filter((name) => ['src', 'test', 'keys', 'bench'].includes(name))).toEqual([])
    expect((await readdir(join(root, 'guest/bin'))).sort()).toEqual(['hatchway-guest-arm64', 'hatchway-guest-x64'])
    const page = await run('man', ['--warnings', '-l', join(root, 'dist/hatchway.1')], { env: { MANWIDTH: '80' } })
    expect([page.code, page.stderr.toString()]).toEqual([0, ''])
    expect(page.stdout.toString()).toMatch(/hatchway serve[\s\S]*--authorized-keys/)
    expect(await readdir(join(root, 'dist'))).toContain('hatchway.yaml.5')
  })

  it(
    'opens a session though nothing of it was compiled',
    async () => {
      const doctor = JSON.parse((await npx('doctor', '--json')).stdout.toString())
      expect(doctor).toContainEqual(expect.objectContaining({ check: 'engine', state: 'ok' }))
      expect(doctor).toContainEqual(expect.objectContaining({ check: 'guest helper', state: 'ok' }))

      const proxy = `npx --no-install hatchway stdio --authorized-keys ${keys.authorized} --keys ${join(scratch, 'keys')}`
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

  it('completes its commands in a shell', async () => {
    expect((await npx('complete', '--', 'serv')).stdout.toString()).toMatch(/^serve\t/)
    expect((await npx('completion', 'bash')).stdout.toString()).toMatch(/^complete .*-F /m)
  })
})
