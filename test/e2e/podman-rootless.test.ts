/** A gateway of a person's own on Podman of that person, neither of which is root. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { testName } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { type RootlessPodman, startRootlessPodman, whyNoRootlessPodman } from '../support/podman-rootless.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'
import { until } from '../support/wait.ts'

const LONG = { limit: 60_000 }
const why = await whyNoRootlessPodman()
if (why !== undefined) it.skip(`a gateway on a user's Podman (${why})`, () => {})
else {
  describe.each(['docker', 'cli'] as const)("a gateway on a user's Podman, engine %s", (kind) => {
    const name = testName('web')
    let podman: RootlessPodman
    let keys: Keys
    let gateway: Gateway
    const clients: SshClient[] = []
    beforeAll(async () => {
      podman = await startRootlessPodman()
      keys = await makeKeys()
      await podman.control('run', '-d', '--name', name, '--network', 'none', 'hatchway-busybox')
      const engine = kind === 'docker' ? { kind, endpoint: await podman.serve() } : { kind, cli: 'podman' }
      const templates = {
        free: { image: 'hatchway-busybox:latest', user: 'dev', network: 'none' },
        bound: { image: 'hatchway-busybox:latest', user: 'dev', network: 'none', limits: { memory: '64m' } },
      }
      const file = join(keys.dir, 'c.yaml')
      await writeFile(file, JSON.stringify({ engine, templates, keysDirectory: join(podman.home, 'keys') }))
      const config = await podman.give(file)
      const authorized = await podman.give(keys.authorized)
      const args = ['--config', config, '--keys', join(podman.home, 'keys')]
      gateway = await startGateway({ keys: { ...keys, authorized }, engine: kind, within: podman.asUser, args })
    }, 180_000)
    afterAll(async () => {
      await gateway?.stop()
      for (const client of clients) await client.close()
      await keys?.close()
      await podman?.close()
    }, 60_000)
    const as = async (login: string) => {
      const client = await makeSshClient(gateway.target(login))
      clients.push(client)
      return client
    }

    it('runs as nobody else, and leads in as whom the container has', async () => {
      expect((await run('ps', ['-o', 'uid=', '-p', String(gateway.pid)])).stdout.toString().trim()).toBe(
        String(podman.uid),
      )
      for (const [user, uid] of [
        ['dev', '1000'],
        ['root', '0'],
      ] as const) {
        const { code, stdout, stderr } = await (await as(`${user}@${name}`)).exec('id -u', LONG)
        expect([code, stdout.toString(), stderr.toString()]).toEqual([0, `${uid}\n`, ''])
      }
    }, 120_000)

    it('moves a longer session’s bytes past the engine', async () => {
      const client = await as(`dev@${name}`)
      const session = client.exec('sleep 4; echo through', LONG)
      await until('the switch', () => gateway.log().includes('switched to the direct data path'), 20_000)
      expect((await session).stdout.toString()).toBe('through\n')
      expect(gateway.log()).not.toContain('stays on the engine')
    }, 120_000)

    it('a terminal, a file', async () => {
      const client = await as(`dev@${name}`)
      const terminal = await client.ssh(['-tt', 't', 'tty; exit 7'], LONG)
      expect([terminal.code, terminal.stdout.toString()]).toEqual([7, expect.stringMatching(/^\/dev\/pts\/\d+\r\n/)])
      const put = await client.sftp(`put ${keys.authorized} /tmp/put\nget /tmp/put ${join(keys.dir, 'got')}\n`, LONG)
      expect([put.code, put.stderr.toString()]).toEqual([0, ''])
      const same = await run('cmp', [keys.authorized, join(keys.dir, 'got')])
      expect(same.code).toBe(0)
    }, 120_000)

    it('makes a container; one with a limit that cannot be had is refused, and nothing is left of it', async () => {
      expect((await (await as('+free')).exec('id -u', LONG)).stdout.toString()).toBe('1000\n')
      const refused = await (await as('+bound')).exec('id -u', LONG)
      expect(refused.code).toBe(255)
      expect(refused.stderr.toString()).toMatch(/container \S+ was not made: the container engine cannot limit /)
      const left = async () =>
        podman.control('ps', '-a', '--filter', 'label=hatchway.template', '--format', '{{.Names}}')
      await until('nothing is left', async () => (await left()) === '')
    }, 120_000)
  })
}
