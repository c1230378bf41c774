/** A swarm of three real nodes with TLS: the contract on its tasks, wherever they run, and what becomes of a name. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { undefinedIf } from '../../src/base/errors.ts'
import { openSwarm } from '../../src/engine/choose.ts'
import type { Engine } from '../../src/engine/engine.ts'
import { type Swarm, startSwarm, whyNoSwarm } from '../support/swarm.ts'
import { until } from '../support/wait.ts'
import { contract } from './contract.ts'
import type { Ground } from './contract-bench.ts'
import { runIn } from './run.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 300_000 })

const soon = () => AbortSignal.timeout(30_000)
const why = await whyNoSwarm()

const key = 'engines.prod'

/** The manager's own node needs no address of its own. */
function open({ hosts: [manager, ...workers], tls }: Swarm): Promise<Engine> {
  const nodes = Object.fromEntries(workers.map(({ name, endpoint }) => [name, endpoint]))
  return openSwarm({ endpoint: manager.endpoint, nodes, tls, key })
}

/** Of `docker run`, as `docker service create` has it. */
const OPTIONS: Readonly<Record<string, string>> = { '--label': '--container-label', '--group-add': '--group' }

async function openGround(): Promise<Ground> {
  const swarm = await startSwarm()
  const engine = await open(swarm)
  const [manager] = swarm.hosts
  const nodeOf = async (id: string) => {
    for (const host of swarm.hosts) {
      if ((await host.control('ps', '-aq', '--no-trunc', '--filter', `id=${id}`)) !== '') return host
    }
    throw new Error(`no node has ${id}`)
  }
  return {
    engine,
    local: false,
    async control(command = '', ...args) {
      if (command === 'rm' && args.every((name) => name === '-f' || name.startsWith('hw-test-'))) {
        return manager.control('service', 'rm', ...args.slice(1))
      }
      const id = args.find((word) => /^[0-9a-f]{64}$/.test(word)) ?? ''
      return (await nodeOf(id)).control(command, ...args)
    },
    async container(service, options) {
      await swarm.service(service, 1, ...options.map((word) => OPTIONS[word] ?? word))
      // The manager's own client is told of it before the manager says so to others.
      const made = async () => engine.inspect(service, soon()).catch(undefinedIf('CONTAINER_NOT_RUNNING'))
      const { id, name } = await until('its task', made)
      return { id, name }
    },
    async close() {
      await engine.close()
      await swarm.close()
    },
  }
}

if (why !== undefined) it.skip(`engine swarm (${why})`, () => {})
else {
  contract({
    name: 'engine swarm',
    skip: [
      {
        reason: 'a swarm starts, stops and makes its tasks itself, and puts another in the place of one that ended',
        tests: [
          'a start time names one run',
          'refuses a container that is stopped, paused or not there, in clear words',
          'refuses a container that keeps restarting',
          'starts a stopped container, and one that runs already',
          'stops a container, by its signal',
          'tells whether somebody else runs a program inside',
          'unpauses a paused container',
          'a start of what is not there, or cannot start, is refused',
          'tells the exit code and the last lines of one that ended at once',
          'makes a container with all that is asked for',
          'an init as process 1, where it is asked for',
          'an image that is not there is said to be so',
          'a registry that cannot be reached is a sentence with its reason',
          'removes a running container by name, and one that is gone',
          'keeps marks, each put once or twice, until they are dropped',
          'others’ volumes are no marks',
        ],
      },
      {
        reason: 'a service publishes no port on one address of its node only',
        tests: ['lists containers with name, image, state, status, labels, ports and mounts'],
      },
      {
        reason: "Docker's API 1.41 has no ConsoleSize: the size follows some 100 ms after the start",
        tests: ['gives a terminal its size before the first byte'],
      },
    ],
    open: openGround,
  })

  describe('a swarm of three nodes', () => {
    let swarm: Swarm
    let engine: Engine
    beforeAll(async () => {
      swarm = await startSwarm()
      engine = await open(swarm)
      await swarm.service('web', 3, '--replicas-max-per-node', '1')
      await swarm.service('each', 'global')
    })
    afterAll(async () => {
      await engine?.close()
      await swarm?.close()
    }, 120_000)

    it('lists the tasks of all nodes, and runs programs in each', async () => {
      const names = (await engine.list(soon())).map(({ name }) => name).sort()
      expect(names).toEqual(['each.node1', 'each.node2', 'each.node3', 'web.1', 'web.2', 'web.3'])
      for (const name of names) {
        const { id } = await engine.inspect(name, soon())
        const ran = await runIn(engine, id, ['sh', '-c', 'hostname; exit 4'])
        expect([ran.status, ran.text]).toEqual([{ code: 4 }, `${id.slice(0, 12)}\n`])
      }
    })

    it('a program that ends as soon as it begins is heard over TLS, each time', async () => {
      const { id } = await engine.inspect('web.3', soon())
      for (let index = 0; index < 15; index++) {
        const ran = await runIn(engine, id, ['true'], { user: '99999999999', limit: 5_000 })
        expect(ran.error?.code).toBe('USER_NOT_FOUND')
      }
    })

    it('follows a service to the task that takes the place of another, as soon as that runs', async () => {
      const old = await engine.inspect('web.2', soon())
      const seen: string[] = []
      const stop = new AbortController()
      const reading = (async () => {
        for await (const event of engine.events(stop.signal)) if (event.type === 'container') seen.push(event.id)
      })()
      const [host] = (
        await Promise.all(
          swarm.hosts.map(async (host) => ({ host, ids: await host.control('ps', '-q', '--no-trunc') })),
        )
      ).filter(({ ids }) => ids.includes(old.id))
      await host?.host.control('kill', old.id)
      const next = await until(
        'another task',
        async () => {
          const found = await engine.inspect('web.2', soon()).catch(() => undefined)
          return found !== undefined && found.id !== old.id && found.state === 'running' && found
        },
        30_000,
      )
      expect(next.name).toBe('web.2')
      // Soon enough where nobody told: the nodes tell of it, and the manager is asked.
      await until('both are told of', () => seen.includes(old.id) && seen.includes(next.id), 15_000)
      expect((await runIn(engine, next.id, ['true'])).status).toEqual({ code: 0 })
      stop.abort()
      await reading
    })

    it('a worker at the manager’s address, and a certificate of another authority, are sentences', async () => {
      const [manager, worker] = swarm.hosts
      if (worker === undefined) throw new Error('no worker')
      const at = await openSwarm({ endpoint: worker.endpoint, tls: swarm.tls, key })
      await expect(at.inspect('web', soon())).rejects.toMatchObject({
        code: 'ENGINE_ERROR',
        message: 'the engine at the address of the swarm is no manager of one',
      })
      await at.close()
      const stranger = await openSwarm({ endpoint: manager.endpoint, tls: swarm.strange, key })
      await expect(stranger.inspect('web', soon())).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
      await stranger.close()
    })

    it('goes on with what it knows while the manager is away; a node that is gone takes its tasks with it', async () => {
      const [manager, ...workers] = swarm.hosts
      const there = await engine.inspect(`each.${workers[0]?.name}`, soon())
      await manager.stop()
      expect((await engine.inspect(`each.${workers[0]?.name}`, soon())).id).toBe(there.id)
      expect((await runIn(engine, there.id, ['true'])).status).toEqual({ code: 0 })
      await manager.start()
      await until('the manager is back', async () => (await engine.list(soon())).length === 6, 60_000, 500)
      await workers[1]?.stop()
      try {
        await expect(engine.inspect(`each.${workers[1]?.name}`, soon())).rejects.toMatchObject({
          code: 'ENGINE_UNAVAILABLE',
        })
        expect((await engine.list(soon())).map(({ name }) => name)).not.toContain(`each.${workers[1]?.name}`)
        expect((await engine.inspect(`each.${workers[0]?.name}`, soon())).id).toBe(there.id)
      } finally {
        await workers[1]?.start()
      }
    })
  })
}
