/** `ssh dev@+node` on Kubernetes: who gets which pod, and that none is left. The API server is of the tests' own. */
import pino from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { configSchema } from '../../../src/config/schema.ts'
import { createStarter } from '../../../src/container/lifecycle/starter.ts'
import { LABELS } from '../../../src/container/templates/template.ts'
import {
  createMadeContainers,
  type MadeContainers,
  type MakeLimits,
} from '../../../src/container/templates/template-containers.ts'
import type { Engine } from '../../../src/engine/engine.ts'
import { createKubernetesEngine } from '../../../src/engine/kubernetes/kubernetes.ts'
import { type Json, type KubeApi, podJson, startKubeApi } from '../../support/kube-api.ts'
import { runningStatus } from '../../support/kube-objects.ts'
import { until } from '../../support/wait.ts'

const log = pino({ level: 'silent' })
const patient = new AbortController().signal
const owner = { id: 'a'.repeat(32), name: 'ann@example.com' }
let api: KubeApi
const gateways: { made: MadeContainers; engine: Engine }[] = []

beforeEach(async () => {
  api = await startKubeApi()
})
afterEach(async () => {
  for (const { made, engine } of gateways.splice(0)) {
    await made.close()
    await engine.close()
  }
  await api.close()
})

/** Another machine's: its instances have a folder of their own. */
function gateway(id: string, template: Json = {}, limits: Partial<MakeLimits> = {}) {
  const engine = createKubernetesEngine({ access: api.access, callDeadlineMs: 1000 })
  const { templates = {} } = configSchema.parse({ templates: { node: { image: 'node:22', ...template } } })
  const instance = {
    ...{ gateway: `g${id}`, id: id.repeat(32), folder: `f${id}`, lives: async () => false, close: async () => {} },
  }
  const some = { stepMs: 3000, sweepMs: 50, lookMs: 50, renewMs: 40, ...limits }
  const made = createMadeContainers(engine, templates, instance, log, () => {}, some)
  gateways.push({ made, engine })
  const told: string[] = []
  const closed = new AbortController()
  return {
    ...{ engine, made, told, closed },
    login(kind: 'fresh' | 'personal', end: AbortSignal = closed.signal) {
      const plan = made.plan({ template: { name: 'node', kind } }, owner)
      return made.container(plan, end, (line) => told.push(line), patient)
    },
  }
}

const only = () => [...api.pods.values()][0] ?? {}
const metaOf = (pod: Json) => pod.metadata as { name: string; labels: Record<string, string>; annotations: Json }
const pending = () => ({ phase: 'Pending' })
const bring = (status: Json = runningStatus(only())) => api.set({ ...only(), status })

test('a fresh pod is its connection’s, says whose it is and when it ends at the latest, and is removed', async () => {
  const { login, closed, told } = gateway('b', { pod: { spec: { serviceAccountName: 'people' } } })
  const container = await login('fresh')
  expect(container).toMatchObject({
    state: 'running',
    labels: { [LABELS.owner]: owner.id, [LABELS.ownerName]: owner.name },
  })
  expect(metaOf(only()).labels).toMatchObject({
    [LABELS.owner]: owner.id,
    [LABELS.kind]: 'fresh',
    [LABELS.lease]: 'volume',
  })
  expect(metaOf(only()).annotations).toMatchObject({ [LABELS.ownerName]: owner.name })
  expect(api.made[0]?.spec).toMatchObject({
    serviceAccountName: 'people',
    activeDeadlineSeconds: 86_400,
    restartPolicy: 'Never',
  })
  expect(told[0]).toMatch(/^making container hatchway-node-[0-9a-f]{8} from template node/)
  closed.abort()
  await until('it is removed', () => api.pods.size === 0)
})

test('a personal pod that is asked for twice at once, here and on another gateway, is one', async () => {
  const [one, other] = [gateway('b'), gateway('c')]
  api.firstStatus = pending
  const logins = [one.login('personal'), one.login('personal'), other.login('personal')]
  await until('both wait', () => one.told.length > 1 && other.told.length > 0 && api.made.length > 0)
  bring()
  const ids = (await Promise.all(logins)).map(({ id }) => id)
  expect(new Set(ids).size).toBe(1)
  expect(api.pods.size).toBe(1)
  one.closed.abort()
  expect(api.pods.size).toBe(1)
  expect(only().spec).not.toHaveProperty('activeDeadlineSeconds')
})

test('a personal pod that has ended makes room for another; one that runs is kept though its template changed', async () => {
  const first = await gateway('b').login('personal')
  bring({ phase: 'Succeeded', containerStatuses: [{ name: 'main', state: { terminated: { exitCode: 0 } } }] })
  const second = await gateway('c').login('personal')
  expect(second.id).not.toBe(first.id)
  const changed = gateway('d', { env: { A: 'b' } })
  expect((await changed.login('personal')).id).toBe(second.id)
  expect(changed.told.join()).toContain('template node was changed since')
})

test('a client that leaves while its image is pulled leaves no pod', async () => {
  const { login, closed, told } = gateway('b')
  api.firstStatus = () => ({
    phase: 'Pending',
    containerStatuses: [{ name: 'main', state: { waiting: { reason: 'ContainerCreating' } } }],
  })
  api.events.push({ reason: 'Pulling', type: 'Normal', message: 'Pulling image "node:22"' })
  const made = login('fresh')
  made.catch(() => {})
  await until('the pull is told', () => told.some((line) => line.includes('Pulling image')))
  closed.abort(new Error('gone'))
  await expect(made).rejects.toThrow('gone')
  await until('it is removed', () => api.pods.size === 0)
})

test.each(['fresh', 'personal'] as const)(
  'a %s pod that will not run is removed, and its owner told why',
  async (kind) => {
    const { login } = gateway('b')
    api.firstStatus = () => ({
      phase: 'Pending',
      containerStatuses: [{ name: 'main', state: { waiting: { reason: 'ImagePullBackOff', message: 'no such tag' } } }],
    })
    await expect(login(kind)).rejects.toThrow('the engine has no image node:22 and cannot pull it: no such tag')
    await until('it is removed', () => api.pods.size === 0)
  },
)

test('one of which nothing new is heard is given up', async () => {
  const { login } = gateway('b', {}, { silentPullMs: 400 })
  api.firstStatus = pending
  await expect(login('personal')).rejects.toMatchObject({
    code: 'CONTAINER_START_FAILED',
    message: expect.stringMatching(/^container main\.hatchway-node-[0-9a-f]{12}\.shop does not run after/),
  })
  expect(api.pods.size).toBe(0)
})

test('a quota that is reached is a sentence, and nothing is left to remove', async () => {
  const { login } = gateway('b')
  api.admit = () => ({ code: 403, reason: 'Forbidden', message: 'pods "x" is forbidden: exceeded quota: people' })
  await expect(login('fresh')).rejects.toThrow(
    /^container hatchway-node-[0-9a-f]{8} cannot be made: exceeded quota: people$/,
  )
  expect(api.deleted).toEqual([])
})

test('an API server that makes a pod and does not say so: the login fails in time, and the pod is removed', async () => {
  const { login, closed } = gateway('b')
  api.swallowsPosts = true
  await expect(login('fresh')).rejects.toMatchObject({ code: 'ENGINE_TIMEOUT' })
  await until('it is removed', () => api.pods.size === 0)
  closed.abort()
})

test('what a gateway that was killed has left another one removes, and its Leases', async () => {
  // Its Lease is not renewed any more.
  const killed = gateway('b', {}, { renewMs: 600_000, sweepMs: 600_000, lookMs: 600_000 })
  await killed.login('fresh')
  expect([...api.leases.keys()].join()).toContain(`hatchway-lease-${'b'.repeat(32)}`)
  const left = metaOf(only()).name
  // What the shell of a container in which nobody is says; here it would count this machine's processes.
  api.onExec = (socket) => {
    socket.send(Buffer.from('\u0001hatchway 2\n'))
    socket.send(Buffer.from('\u0003{"status":"Success"}'), () => socket.close())
  }
  const other = gateway('c')
  await until('the pod is removed', () => !api.pods.has(left))
  expect(other.told).toEqual([])
  await until('and the Leases', () => ![...api.leases.keys()].some((name) => name.includes('b'.repeat(32))))
})

test('without Leases it makes pods all the same', async () => {
  api.forbidsLeases = true
  const { login } = gateway('b')
  await login('fresh')
  expect(metaOf(only()).labels).toMatchObject({ [LABELS.lease]: 'none' })
})

test('stopAfter removes a personal pod some time after its last connection; others’ pods are never started', async () => {
  const { engine, login, closed } = gateway('b')
  const starter = createStarter(
    engine,
    { startOnConnect: true, stopAfter: 50 },
    () => {},
    log,
    () => {},
    { againMs: 50 },
  )
  const container = await login('personal')
  const may = async () => {}
  await starter.running(container, { may, closed: closed.signal, own: true }, patient)
  await new Promise((resolve) => setTimeout(resolve, 150))
  expect(api.pods.size).toBe(1)
  closed.abort()
  await until('it is removed', () => api.pods.size === 0)
  expect(api.deleted).toEqual([`${metaOf(api.made[0] ?? {}).name} 10`])
  const end = { name: 'main', state: { terminated: { exitCode: 0 } } }
  api.set(podJson('web', { status: { phase: 'Succeeded', containerStatuses: [end] } }))
  const theirs = await engine.inspect('main.web.shop', patient)
  expect(starter.canStart(theirs)).toBe(false)
  await expect(starter.running(theirs, { may, closed: patient }, patient)).rejects.toMatchObject({
    code: 'CONTAINER_NOT_RUNNING',
  })
  starter.close()
})
