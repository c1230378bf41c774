/** A gateway on a swarm of real nodes: a service, one of its tasks, and what takes its place. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'
import { type Swarm, startSwarm, whyNoSwarm } from '../support/swarm.ts'
import { until } from '../support/wait.ts'

const LONG = { limit: 60_000 }
const why = await whyNoSwarm()
if (why !== undefined) it.skip(`a gateway on a swarm (${why})`, () => {})
else {
  describe('a gateway on a swarm', () => {
    let swarm: Swarm
    let keys: Keys
    let gateway: Gateway
    let config: string
    const clients: SshClient[] = []
    beforeAll(async () => {
      swarm = await startSwarm()
      keys = await makeKeys()
      await swarm.service('web', 3, '--replicas-max-per-node', '1')
      const [manager, ...workers] = swarm.hosts
      const nodes = Object.fromEntries(workers.map(({ name, endpoint }) => [name, endpoint]))
      const prod = { kind: 'swarm', endpoint: manager.endpoint, tls: swarm.tls, nodes }
      config = join(keys.dir, 'c.yaml')
      await writeFile(config, JSON.stringify({ engines: { prod } }))
      gateway = await startGateway({ keys, engine: undefined, args: ['--config', config] })
    }, 300_000)
    afterAll(async () => {
      await gateway?.stop()
      for (const client of clients) await client.close()
      await keys?.close()
      await swarm?.close()
    }, 120_000)
    const exec = async (login: string, command: string) => {
      const client = await makeSshClient(gateway.target(login))
      clients.push(client)
      const { code, stdout, stderr } = await client.exec(command, LONG)
      return { code, out: stdout.toString().trim(), err: stderr.toString() }
    }
    /** Short ids, as a container's host name is, by task. */
    const tasks = async () => {
      const listed = await run(
        process.execPath,
        [join(import.meta.dirname, '../../dist/main.js'), 'ls', '--json', '--config', config],
        LONG,
      )
      const rows: { id: string; name: string }[] = JSON.parse(listed.stdout.toString())
      return new Map(rows.map(({ id, name }) => [name, id.replace('prod/', '').slice(0, 12)]))
    }

    it('leads to a service, to one of its tasks, to a task by its id, also by the engine’s name', async () => {
      const ids = await tasks()
      expect([...ids.keys()].sort()).toEqual(['web.1', 'web.2', 'web.3'])
      const id = await swarm.hosts[0].control(
        'service',
        'ps',
        'web',
        '-q',
        '--no-trunc',
        '--filter',
        'name=web.3',
        '--filter',
        'desired-state=running',
      )
      for (const [login, task] of [
        ['dev@web', 'web.1'],
        ['dev@web.prod', 'web.1'],
        ['dev@web.2', 'web.2'],
        ['dev@web.2.prod', 'web.2'],
        [`dev@${id}`, 'web.3'],
        [`dev@${id.slice(0, 12)}`, 'web.3'],
        [`dev@${ids.get('web.3')}`, 'web.3'],
      ] as const) {
        expect(await exec(login, 'hostname; id -un'), login).toEqual({ code: 0, out: `${ids.get(task)}\ndev`, err: '' })
      }
      expect((await exec('dev@web.4', 'true')).err).toContain('Permission denied')
    }, 180_000)

    it('a session in a task that ends is told, and the next one is in the task that takes its place', async () => {
      const before = (await tasks()).get('web.1')
      const host = await until('its node', async () => {
        for (const one of swarm.hosts) if ((await one.control('ps', '-q')).includes(before ?? '?')) return one
        return undefined
      })
      const session = exec('dev@web.1', 'echo in; sleep 60')
      await until('the session', async () => (await host.control('top', before ?? '')).includes('sleep 60'), 30_000)
      await host.control('kill', before ?? '')
      const ended = await session
      expect([ended.code, ended.out]).toEqual([255, 'in'])
      expect(ended.err).toMatch(/container web\.1\S* was (killed|removed)/)
      const next = await until(
        'the next',
        async () => {
          const { code, out } = await exec('dev@web.1', 'hostname')
          return code === 0 && out !== before && out
        },
        60_000,
        500,
      )
      expect((await exec('dev@web', 'hostname')).out).toBe(next)
    }, 180_000)
  })
}
