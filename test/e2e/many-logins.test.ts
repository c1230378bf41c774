/** Many logins at once, and an agent with many keys, by the defaults: what a person with fifty containers does every day. */
import { spawn } from 'node:child_process'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startContainer, type TestContainer, testName } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'

const AT_ONCE = 50

let keys: Keys
let container: TestContainer
let gateway: Gateway
let client: SshClient

beforeAll(async () => {
  keys = await makeKeys()
  container = await startContainer('debian', { name: testName('web') })
  // Loopback gets penalties here, as the network does.
  const env = { HATCHWAY_CONFIG: '/dev/null', HATCHWAY_LIMITS_PER_SOURCE_PENALTY_EXEMPT_LIST: '192.0.2.1' }
  gateway = await startGateway({ keys, engine: 'docker', env })
  // Fifty clients have two cores; how long one takes is not what is looked at.
  client = await makeSshClient(gateway.target(`dev@${container.name}`), ['ConnectTimeout 100'])
})
afterAll(async () => {
  await client?.close()
  await gateway?.stop()
  await container?.remove()
  await keys?.close()
})

test(`${AT_ONCE} logins at once all get in`, async () => {
  const results = await Promise.all(
    Array.from({ length: AT_ONCE }, (_, index) => client.exec(`exit ${index}`, { limit: 120_000 })),
  )
  expect(results.map(({ stderr }) => stderr.toString()).filter((text) => text !== '')).toEqual([])
  expect(results.map(({ code }) => code)).toEqual(Array.from({ length: AT_ONCE }, (_, index) => index))
}, 180_000)

describe('an agent with 20 keys and 8 expired certificates', () => {
  let folder: string
  let agent: ReturnType<typeof spawn>
  let socket: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hw-test-agent-'))
    socket = join(folder, 'agent.sock')
    agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: ['ignore', 'pipe', 'inherit'] })
    await new Promise((resolve) => agent.stdout?.once('data', resolve))
    const keygen = async (...args: string[]) => {
      const { code, stderr } = await run('ssh-keygen', ['-q', ...args], { cwd: folder })
      if (code !== 0) throw new Error(stderr.toString())
    }
    await keygen('-t', 'ed25519', '-N', '', '-f', 'ca')
    const others = Array.from({ length: 19 }, (_, index) => `key${index}`)
    for (const name of others) await keygen('-t', 'ed25519', '-N', '', '-f', name)
    const expired = others.slice(0, 8).map((name) => `${name}.pub`)
    await keygen('-s', 'ca', '-I', 'old', '-n', 'dev', '-V', '20200101:20200102', ...expired)
    // The one that is right is the last.
    await copyFile(keys.ed25519, join(folder, 'right'))
    for (const name of [...others, 'right']) {
      const { code, stderr } = await run('ssh-add', ['-q', name], { cwd: folder, env: { SSH_AUTH_SOCK: socket } })
      if (code !== 0) throw new Error(stderr.toString())
    }
  })
  afterAll(async () => {
    agent?.kill()
    if (folder) await rm(folder, { recursive: true, force: true })
  })

  const login = async (...lines: string[]) => {
    const all = ['IdentityFile none', 'IdentitiesOnly no', `IdentityAgent ${socket}`, ...lines]
    const ssh = await makeSshClient(client.target, all)
    const result = await ssh.exec('id -un', { limit: 60_000 })
    await ssh.close()
    return { code: result.code, out: result.stdout.toString(), err: result.stderr.toString() }
  }

  test('gets in as often as it likes, and no penalty is counted', async () => {
    const { stdout } = await run('ssh-add', ['-l'], { env: { SSH_AUTH_SOCK: socket } })
    expect(stdout.toString().match(/ED25519/g)).toHaveLength(28)
    for (let time = 0; time < 5; time++) expect(await login()).toEqual({ code: 0, out: 'dev\n', err: '' })
    expect(gateway.log()).not.toContain('source refused')
  }, 120_000)
})
