/** A gateway with a policy of its own: people with keys, containers, a configuration that can be rewritten. */
import { chmod, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { ConfigInput } from '../../src/config/schema.ts'
import { type Gateway, startGateway } from './gateway.ts'
import { run } from './run.ts'
import { makeKeys, makeSshClient, type SshClient } from './ssh.ts'
import { until } from './wait.ts'

export interface PolicyWorld {
  readonly gateway: Gateway
  readonly config: string
  readonly folder: string
  /** `as('alice', 'dev@web')`. */
  as(person: string, login: string, extra?: readonly string[]): Promise<SshClient>
  /** Replaces the configuration file at once, as editors do. */
  configure(config: ConfigInput | string): Promise<void>
  /** Log lines since the start. A line is written behind what the client sees of the same. */
  log(): Record<string, unknown>[]
  /** All that have such a message, once there are `count` of them. */
  logged(message: RegExp, count?: number): Promise<Record<string, unknown>[]>
  close(): Promise<void>
}

/** People: name to options of their line in authorized_keys. */
export async function policyWorld(
  people: Readonly<Record<string, string>>,
  config: ConfigInput,
  guest: 'auto' | 'off' = 'auto',
): Promise<PolicyWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'hw-test-policy-'))
  const file = join(folder, 'hatchway.yaml')
  const keys = await makeKeys()
  const lines: string[] = []
  for (const [name, options] of Object.entries(people)) {
    const made = await run('ssh-keygen', ['-q', '-N', '', '-t', 'ed25519', '-C', name, '-f', join(folder, name)])
    if (made.code !== 0) throw new Error(made.stderr.toString())
    lines.push(`${options} ${await readFile(join(folder, `${name}.pub`), 'utf8')}`.trimStart())
  }
  const authorized = join(folder, 'authorized_keys')
  await writeFile(authorized, lines.join(''), { mode: 0o600 })
  const configure = async (next: ConfigInput | string) => {
    await writeFile(`${file}.new`, typeof next === 'string' ? next : stringify(next))
    await chmod(`${file}.new`, 0o600)
    await rename(`${file}.new`, file)
  }
  await configure(config)
  const gateway = await startGateway({
    keys: { ...keys, authorized },
    engine: typeof config === 'object' && config.engines ? 'auto' : 'docker',
    guest,
    args: ['--config', file],
  })
  const clients: SshClient[] = []
  const log = () =>
    gateway
      .log()
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  return {
    gateway,
    config: file,
    folder,
    async as(person, login, extra = []) {
      const client = await makeSshClient({ ...gateway.target(login), key: join(folder, person) }, extra)
      clients.push(client)
      return client
    },
    configure,
    log,
    logged: (message, count = 1) => {
      const found = () => log().filter((line) => message.test(String(line.msg)))
      return until(`${count} log lines ${message}`, () => found().length >= count && found())
    },
    async close() {
      await gateway.stop()
      for (const client of clients) await client.close()
      await keys.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
