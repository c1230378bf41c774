import { afterEach, beforeEach, expect, test } from 'vitest'
import type { EngineEvent } from '../../../src/engine/engine.ts'
import { createKubernetesEngine } from '../../../src/engine/kubernetes/kubernetes.ts'
import { type KubeApi, podJson, startKubeApi } from '../../support/kube-api.ts'
import { until } from '../../support/wait.ts'

const soon = () => AbortSignal.timeout(20_000)
let api: KubeApi
let engine: ReturnType<typeof createKubernetesEngine>
let stop: AbortController
const seen: EngineEvent[] = []

beforeEach(async () => {
  api = await startKubeApi()
  engine = createKubernetesEngine({ access: api.access, callDeadlineMs: 3000 })
  stop = new AbortController()
  seen.length = 0
})
afterEach(async () => {
  stop.abort()
  await engine.close()
  await api.close()
})

async function follow(): Promise<void> {
  const watching = () => api.asked.filter((one) => one.startsWith('GET /api/v1/namespaces/shop/pods')).length
  const before = watching()
  void (async () => {
    for await (const event of engine.events(stop.signal)) seen.push(event)
  })()
  await until('it watches', () => watching() >= before + 2)
}

const said = () => seen.map((event) => (event.type === 'container' ? `${event.action} ${event.id}` : event.type))
const names = async () => (await engine.list(soon())).map(({ name }) => name).sort()
const terminated = (pod: string) => ({
  containerStatuses: [
    {
      name: 'main',
      containerID: `containerd://${pod}-main-0`,
      state: { terminated: { exitCode: 137, reason: 'OOMKilled' } },
    },
  ],
})

test('lists the containers of pods, in parts', async () => {
  for (let i = 0; i < 700; i++) api.set(podJson(`p${i}`))
  api.set(podJson('two', { containers: ['main', 'side'] }))
  const all = await engine.list(soon())
  expect(all).toHaveLength(702)
  expect(all.find(({ name }) => name === 'side.two.shop')).toMatchObject({
    id: 'shop/uid-two/side',
    image: 'side:1',
    state: 'running',
    labels: { app: 'two' },
    createdAt: Date.parse('2026-01-02T03:04:05Z') / 1000,
  })
})

test('while it follows the events it knows all pods, and asks for none of them', async () => {
  api.set(podJson('a'))
  await follow()
  await until('the list is known', async () => (await names()).length === 1)
  const asked = () => api.asked.filter((one) => one === 'GET /api/v1/namespaces/shop/pods').length
  const before = asked()
  api.set(podJson('b'))
  await until('b is there', async () => (await names()).join() === 'main.a.shop,main.b.shop')
  api.remove('a')
  await until('a is gone', async () => (await names()).join() === 'main.b.shop')
  expect(asked()).toBe(before)
  expect(said()).toEqual([
    'start shop/uid-b/main',
    'create shop/uid-b/main',
    'die shop/uid-a/main',
    'destroy shop/uid-a/main',
  ])
})

test('a container that ends and one that is started again are told', async () => {
  api.set(podJson('a'))
  await follow()
  api.set(podJson('a', { status: terminated('a') }))
  await until('its end is told', () => said().includes('die shop/uid-a/main'))
  const again = [
    { name: 'main', containerID: 'containerd://a-main-1', state: { running: { startedAt: '2026-01-02T03:05:00Z' } } },
  ]
  api.set(podJson('a', { status: { containerStatuses: again } }))
  await until('its start is told', () => said().includes('start shop/uid-a/main'))
})

test('a watch that ends goes on from where it was, bookmarks counted', async () => {
  api.set(podJson('a'))
  await follow()
  api.bookmark()
  api.cutWatches('end')
  api.set(podJson('b'))
  await until('b is there', () => said().includes('start shop/uid-b/main'))
  expect(said()).not.toContain('reconnected')
})

test('a version that the server has forgotten (410 Gone) makes a new list, and all is asked anew', async () => {
  api.set(podJson('a'))
  await follow()
  api.oldestVersion = Number.MAX_SAFE_INTEGER
  api.cutWatches('reset')
  await until('it tells', () => said().includes('reconnected'))
  api.oldestVersion = 0
  api.set(podJson('c'))
  await until('c is there', async () => (await names()).includes('main.c.shop'))
})

test('a server that goes away is told once, and that it is back', async () => {
  api.set(podJson('a'))
  await follow()
  await api.down()
  await until('it is lost', () => said().includes('lost'))
  await expect(engine.list(soon())).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
  api.pods.delete('a')
  await api.up()
  await until('it is back', () => said().includes('reconnected'))
  expect(said()).toEqual(['lost', 'reconnected'])
  expect(await names()).toEqual([])
})

test('several namespaces are one engine, and one that forbids exec has no containers', async () => {
  const shop = podJson('a')
  api.set(shop)
  api.set({ ...podJson('b'), metadata: { name: 'b', namespace: 'secret', uid: 'uid-b', labels: {} } })
  api.set({ ...podJson('c'), metadata: { name: 'c', namespace: 'lab', uid: 'uid-c', labels: {} } })
  api.forbidsExec.add('secret')
  await engine.close()
  engine = createKubernetesEngine({ access: api.access, namespaces: ['shop', 'secret', 'lab', 'lab'] })
  expect(await names()).toEqual(['main.a.shop', 'main.c.lab'])
  for (const ref of ['main.b.secret', 'secret/uid-b/main', 'main.d.other', 'other/uid-d/main']) {
    await expect(engine.inspect(ref, soon()), ref).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
  }
})

test('a pod and a deployment are names, of the newest ready pod; what is ambiguous stands for each', async () => {
  const deployed = (name: string, createdAt: string, ready: boolean, hash = 'h1') =>
    podJson(name, {
      metadata: {
        creationTimestamp: createdAt,
        labels: { 'pod-template-hash': hash },
        ownerReferences: [{ kind: 'ReplicaSet', name: `web-${hash}`, controller: true }],
      },
      status: { conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
    })
  api.set(deployed('web-h1-a', '2026-01-01T00:00:00Z', true))
  api.set(deployed('web-h1-b', '2026-01-02T00:00:00Z', true))
  api.set(deployed('web-h2-c', '2026-01-03T00:00:00Z', false, 'h2'))
  api.set(podJson('two', { containers: ['main', 'side'] }))
  const annotations = { 'kubectl.kubernetes.io/default-container': 'side' }
  api.set(podJson('told', { containers: ['main', 'side'], metadata: { annotations } }))
  api.set(podJson('db-0', { metadata: { ownerReferences: [{ kind: 'StatefulSet', name: 'db', controller: true }] } }))
  const all = await engine.list(soon())
  const called = (name: string) => all.filter(({ names }) => names?.includes(name)).map((one) => one.name)
  expect(called('web.shop')).toEqual(['main.web-h1-b.shop'])
  expect(called('web-h1-a.shop')).toEqual(['main.web-h1-a.shop'])
  expect(called('two.shop')).toEqual(['main.two.shop', 'side.two.shop'])
  expect(called('told.shop')).toEqual(['side.told.shop'])
  expect(called('db.shop')).toEqual(['main.db-0.shop'])
})

test('a token that is refused is read again within the call; one that stays refused is a sentence', async () => {
  api.token = 'good'
  await expect(engine.list(soon())).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
  await expect(engine.list(soon())).rejects.toThrow(/does not know the gateway/)
})
