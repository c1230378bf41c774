/** Commands that ask the engine, while the one that was named is away and another one, which is empty, would answer. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MAIN } from '../support/gateway.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys } from '../support/ssh.ts'

let home: string
let keys: Keys
const HOSTS = 'Host web\n  Port 22\n'

beforeAll(async () => {
  keys = await makeKeys()
  home = await mkdtemp(join(tmpdir(), 'hw-test-away-'))
  await mkdir(join(home, '.ssh', 'hatchway'), { recursive: true })
  await mkdir(join(home, 'bin'))
  await writeFile(join(home, '.ssh', 'hatchway', 'config'), HOSTS)
  for (const suffix of ['', '.pub']) {
    await writeFile(join(home, '.ssh', `id${suffix}`), await readFile(`${keys.ed25519}${suffix}`), { mode: 0o600 })
  }
  const podman = join(home, 'bin', 'podman')
  await writeFile(podman, '#!/bin/sh\ncase $1 in version) echo \'{"Version":"4.3.1","OsArch":"linux/amd64"}\';; esac\n')
  await chmod(podman, 0o755)
})
afterAll(async () => {
  await keys.close()
  await rm(home, { recursive: true, force: true })
})

const away = () => `unix://${home}/away.sock`
const hatchway = async (...args: string[]) => {
  const env = { DOCKER_HOST: away(), PATH: `${home}/bin:${process.env.PATH}` }
  const { code, stdout, stderr } = await run(process.execPath, [MAIN, ...args], { env })
  return { code, out: stdout.toString(), err: stderr.toString() }
}
const SENTENCE = () =>
  `hatchway: ${away()} (DOCKER_HOST): the container engine is not reachable (its socket is missing)\n`

test('ls fails with a sentence that names the engine, and says nothing of containers', async () => {
  expect(await hatchway('ls')).toEqual({ code: 255, out: '', err: SENTENCE() })
})

test('so it does with an engine of the configuration, and with one of a docker context', async () => {
  const file = join(home, 'hatchway.yaml')
  await writeFile(file, `engine: { endpoint: '${away()}' }\n`)
  const err = (by: string) => SENTENCE().replace('DOCKER_HOST', by)
  expect(await hatchway('ls', '--config', file)).toEqual({ code: 255, out: '', err: err('engine.endpoint') })
  const id = createHash('sha256').update('far').digest('hex')
  await mkdir(join(home, 'contexts', 'meta', id), { recursive: true })
  const meta = JSON.stringify({ Name: 'far', Endpoints: { docker: { Host: away() } } })
  await writeFile(join(home, 'contexts', 'meta', id, 'meta.json'), meta)
  const env = { DOCKER_HOST: '', DOCKER_CONTEXT: 'far', DOCKER_CONFIG: home, PATH: `${home}/bin:${process.env.PATH}` }
  const { code, stdout, stderr } = await run(process.execPath, [MAIN, 'ls'], { env })
  expect([code, stdout.toString(), stderr.toString()]).toEqual([255, '', err('docker context far')])
})

test('where none of several answers ls fails as with one, and names each', async () => {
  const file = join(home, 'several.yaml')
  await writeFile(file, `engines: { one: { endpoint: '${away()}' }, two: { endpoint: '${away()}2' } }\n`)
  for (const more of [[], ['--json']]) {
    const { code, out, err } = await hatchway('ls', '--config', file, ...more)
    expect([code, out, err.split('\n')]).toEqual([
      255,
      '',
      [
        expect.stringMatching(/^hatchway: engine one is not reachable/),
        expect.stringMatching(/^hatchway: engine two is not reachable/),
        'hatchway: no container engine can be asked now',
        '',
      ],
    ])
  }
})

test('ls says of an engine that answers, and is empty, which one it is', async () => {
  const file = join(home, 'podman.yaml')
  await writeFile(file, `engine: { cli: '${home}/bin/podman' }\n`)
  expect(await hatchway('ls', '--config', file)).toEqual({
    code: 0,
    out: `no containers at ${home}/bin/podman exec\n`,
    err: '',
  })
})

test.skipIf(process.getuid?.() !== 0)(
  'a socket that refuses is said, and not replaced by an empty Podman',
  async () => {
    const path = join(home, 'private.sock')
    const server = createServer().listen(path)
    await once(server, 'listening')
    await Promise.all([chmod(path, 0o600), chmod(home, 0o711), chmod(join(home, 'bin'), 0o755)])
    const env = {
      DOCKER_HOST: `unix://${path}`,
      HOME: home,
      HATCHWAY_CONFIG: '/dev/null',
      PATH: `${home}/bin:/usr/bin:/bin`,
    }
    const nobody = join(home, 'nobody.mjs')
    await writeFile(nobody, 'process.setgroups([]); process.setgid(65534); process.setuid(65534)')
    const result = await run(process.execPath, ['--import', nobody, MAIN, 'ls'], { env })
    server.close()
    expect([result.code, result.stdout.toString(), result.stderr.toString()]).toEqual([
      255,
      '',
      `hatchway: unix://${path} (DOCKER_HOST): the container engine is not reachable (permission denied)\n`,
    ])
  },
)

test('config-ssh leaves the hosts that are there', async () => {
  const flags = ['--keys', join(home, 'state'), '--authorized-keys', keys.authorized]
  const { code, err } = await hatchway('config-ssh', '--yes', '--ssh-config', join(home, '.ssh', 'config'), ...flags)
  expect([code, err]).toEqual([255, SENTENCE()])
  expect(await readFile(join(home, '.ssh', 'hatchway', 'config'), 'utf8')).toBe(HOSTS)
})

test('doctor names the engine and what to do', async () => {
  const { out } = await hatchway('doctor', '--json')
  const findings: { check: string; state: string; found: string; advice?: string }[] = JSON.parse(out)
  expect(findings.find(({ check }) => check === 'engine')).toMatchObject({
    state: 'fail',
    found: expect.stringContaining(`at ${away()} (DOCKER_HOST)`),
    advice: `no socket at ${home}/away.sock: start its engine, or correct or unset DOCKER_HOST`,
  })
})
