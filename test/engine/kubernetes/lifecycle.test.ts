/** Pods that are made, come up and go, on an API server of the tests' own; ./hatchway test --kubernetes has a real one. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { ContainerSpec, Engine, Lifecycle } from '../../../src/engine/engine.ts'
import { createKubernetesEngine } from '../../../src/engine/kubernetes/kubernetes.ts'
import { podToMake } from '../../../src/engine/kubernetes/made-pod.ts'
import { isNameTaken } from '../../../src/engine/messages.ts'
import { type Json, type KubeApi, podJson, startKubeApi } from '../../support/kube-api.ts'
import { runningStatus } from '../../support/kube-objects.ts'
import { until } from '../../support/wait.ts'

const soon = () => AbortSignal.timeout(20_000)
let api: KubeApi
let engine: Engine
let lifecycle: Lifecycle

beforeEach(async () => {
  api = await startKubeApi()
  engine = createKubernetesEngine({ access: api.access, callDeadlineMs: 3000 })
  if (!engine.lifecycle) throw new Error('it makes no pods')
  lifecycle = engine.lifecycle
})
afterEach(async () => {
  await engine.close()
  await api.close()
})

const LABELS = { 'hatchway.template': 'node', 'hatchway.kind': 'fresh', 'hatchway.owner.name': 'Ann <ann@example.com>' }

function spec(more: Partial<ContainerSpec> = {}): ContainerSpec {
  return {
    ...{ name: 'hatchway-node-0123abcd', image: 'node:22', env: [], labels: LABELS, mounts: [], init: false },
    ...more,
  }
}

const waiting = (reason: string, message = '') => ({
  phase: 'Pending',
  containerStatuses: [{ name: 'main', state: { waiting: { reason, message } } }],
})
const setStatus = (status: Json, name = spec().name) => api.set({ ...(api.pods.get(name) ?? {}), status })

/** Makes one that waits, and follows what is told of it. */
async function coming(status: Json = { phase: 'Pending' }) {
  api.firstStatus = () => status
  const id = await lifecycle.create(spec(), soon())
  const told: string[] = []
  const stop = new AbortController()
  const up = lifecycle.comesUp?.(id, (words) => told.push(words), stop.signal) ?? Promise.reject(new Error('never'))
  up.catch(() => {})
  return { id, told, up, stop }
}

test('the operator’s parts are under what a template says and what the gateway must set', () => {
  const pod = podToMake(
    spec({
      argv: ['sh', '-c', 'echo $HOME $(date)'],
      env: ['A=$(B)', 'C=1'],
      user: '1000:50',
      workdir: '/srv',
      memory: 64,
      cpus: 0.25,
      pull: 'never',
      atMostSeconds: 60,
      mounts: [
        { type: 'volume', source: 'home-1', target: '/home', readOnly: false },
        { type: 'volume', target: '/scratch', readOnly: false },
        { type: 'tmpfs', target: '/run', readOnly: false },
      ],
      pod: {
        metadata: { labels: { team: 'web', 'hatchway.owner': 'x' }, annotations: { note: 'a b' } },
        spec: {
          serviceAccountName: 'people',
          nodeSelector: { pool: 'dev' },
          activeDeadlineSeconds: 3600,
          volumes: [{ name: 'cache', emptyDir: {} }],
          containers: [
            { name: 'side', image: 'side:1' },
            {
              name: 'main',
              image: 'not-this:1',
              env: [
                { name: 'C', value: 'under' },
                { name: 'D', value: 'kept' },
              ],
              resources: { requests: { cpu: '100m' }, limits: { memory: '1Gi', 'example.com/gpu': '1' } },
              volumeMounts: [{ name: 'cache', mountPath: '/cache' }],
              securityContext: { allowPrivilegeEscalation: false, runAsUser: 5 },
            },
          ],
        },
      },
    }),
  ) as { metadata: Json; spec: Json & { containers: Json[] } }
  expect(pod.metadata).toEqual({
    name: 'hatchway-node-0123abcd',
    labels: {
      ...{ team: 'web', 'hatchway.owner': 'x', 'hatchway.template': 'node', 'hatchway.kind': 'fresh' },
      'app.kubernetes.io/managed-by': 'hatchway',
    },
    annotations: {
      ...{ note: 'a b', 'hatchway.owner.name': 'Ann <ann@example.com>' },
      'kubectl.kubernetes.io/default-container': 'main',
    },
  })
  expect(pod.spec).toMatchObject({
    ...{ restartPolicy: 'Never', automountServiceAccountToken: false, activeDeadlineSeconds: 3600 },
    ...{ serviceAccountName: 'people', nodeSelector: { pool: 'dev' } },
    volumes: [
      { name: 'cache', emptyDir: {} },
      { name: 'hatchway-0', persistentVolumeClaim: { claimName: 'home-1' } },
      { name: 'hatchway-1', emptyDir: {} },
      { name: 'hatchway-2', emptyDir: { medium: 'Memory' } },
    ],
  })
  expect(pod.spec.containers.map(({ name, image }) => `${name} ${image}`)).toEqual(['main node:22', 'side side:1'])
  expect(pod.spec.containers[0]).toMatchObject({
    // Kubernetes would put variables in place of $(NAME).
    command: ['sh', '-c', 'echo $$HOME $$(date)'],
    ...{ args: [], workingDir: '/srv', imagePullPolicy: 'Never' },
    env: [
      { name: 'D', value: 'kept' },
      { name: 'A', value: '$$(B)' },
      { name: 'C', value: '1' },
    ],
    resources: { requests: { cpu: '100m' }, limits: { memory: '64', 'example.com/gpu': '1', cpu: '250m' } },
    securityContext: { allowPrivilegeEscalation: false, runAsUser: 1000, runAsGroup: 50 },
    volumeMounts: [
      { name: 'cache', mountPath: '/cache' },
      { name: 'hatchway-0', mountPath: '/home', readOnly: false },
      { name: 'hatchway-1', mountPath: '/scratch' },
      { name: 'hatchway-2', mountPath: '/run' },
    ],
  })
})

test.each([
  ['a name', { user: 'dev' }, /its user is a number, and not dev/],
  ['a network', { network: 'web' }, /network, limits.pids and init are not for it/],
  ['a name of capitals', { name: 'hatchway-Node-1' }, /hatchway-Node-1 is no name for one/],
  [
    'a label of several words',
    { labels: { team: 'a b' } },
    /the value of its label team is none that Kubernetes takes/,
  ],
  ['a label that cannot be one', { labels: { 'a/b/c': 'x' } }, /a\/b\/c is no name for a label/],
])('%s cannot be had', (_what, more, sentence) => {
  expect(() => podToMake(spec(more))).toThrow(sentence)
})

test('what is made is found by its name and in the list, with all its labels', async () => {
  const id = await lifecycle.create(spec(), soon())
  await lifecycle.comesUp?.(id, () => {}, soon())
  expect(await engine.inspect(spec().name, soon())).toMatchObject({
    id,
    name: 'main.hatchway-node-0123abcd.shop',
    state: 'running',
    labels: LABELS,
  })
  expect(await engine.list(soon())).toMatchObject([{ id, madeAs: spec().name, labels: LABELS }])
  api.set(podJson('other'))
  // By its pod's name alone only what was made here.
  await expect(engine.inspect('other', soon())).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
})

test('what it waits for is told once each, made printable', async () => {
  const unschedulable = {
    phase: 'Pending',
    conditions: [{ type: 'PodScheduled', status: 'False', message: '0/1 nodes are available: 1 Insufficient cpu.' }],
  }
  const { told, up } = await coming(unschedulable)
  await until('the node is told', () => told.length === 1)
  api.events.push({
    reason: 'Pulling',
    type: 'Normal',
    message: 'Pulling image "node:22\u001b[2J"',
    lastTimestamp: '2026-01-02T03:04:05Z',
  })
  setStatus(waiting('ContainerCreating'))
  await until('the pull is told', () => told.length === 3)
  setStatus(runningStatus(api.pods.get(spec().name) ?? {}))
  await up
  expect(told).toEqual([
    'no node for it yet: 0/1 nodes are available: 1 Insufficient cpu.',
    'starting on node1',
    'Pulling image "node:22 [2J"',
  ])
})

test('an image that cannot be pulled is said to be so, with the first reason', async () => {
  const { told, up } = await coming(waiting('ErrImagePull', 'rpc error: dial tcp: connection refused'))
  await until('it is told', () => told.length === 1)
  setStatus(waiting('ImagePullBackOff', 'Back-off pulling image "node:22"'))
  await expect(up).rejects.toMatchObject({
    code: 'IMAGE_UNAVAILABLE',
    message: 'the engine has no image node:22 and cannot pull it: rpc error: dial tcp: connection refused',
  })
})

test.each([
  [waiting('CreateContainerConfigError', 'secret "x\u0007" not found'), /cannot be started: secret "x " not found$/],
  [waiting('CrashLoopBackOff'), /cannot be started: CrashLoopBackOff$/],
  [
    {
      phase: 'Failed',
      containerStatuses: [
        { name: 'main', state: { terminated: { exitCode: 3, reason: 'Error', message: 'a\nno data\n' } } },
      ],
    },
    /ended at once with code 3: no data$/,
  ],
  [
    { phase: 'Failed', reason: 'OutOfcpu', message: 'Node did not have enough resource' },
    /did not have enough resource$/,
  ],
])('one that will never run is a sentence: %j', async (status, sentence) => {
  const { up } = await coming(status)
  await expect(up).rejects.toMatchObject({ code: 'CONTAINER_START_FAILED' })
  await expect(up).rejects.toThrow(sentence)
})

test('one that is removed while it comes up is said to be removed', async () => {
  const { told, up } = await coming()
  await until('it is waited for', () => told.length > 0)
  api.remove(spec().name)
  await expect(up).rejects.toMatchObject({ code: 'CONTAINER_GONE' })
})

test('an API server that is away for a moment while it comes up is waited for', async () => {
  const { told, up } = await coming()
  await until('it is waited for', () => told.length > 0)
  await api.down()
  setStatus(runningStatus(api.pods.get(spec().name) ?? {}))
  await new Promise((resolve) => setTimeout(resolve, 700))
  await api.up()
  await up
})

test('where events are not for us, the rest is told', async () => {
  api.forbidsEvents = true
  const { told, up } = await coming(waiting('ContainerCreating'))
  await until('it is waited for', () => told.length > 0)
  setStatus(runningStatus(api.pods.get(spec().name) ?? {}))
  await up
  expect(told).toEqual(['starting on node1'])
})

test.each([
  [
    403,
    'exceeded quota: people, requested: pods=1, used: pods=5, limited: pods=5',
    /cannot be made: exceeded quota: people, requested/,
  ],
  [
    403,
    'violates PodSecurity "restricted:latest"\u001b]0;x\u0007',
    /cannot be made: violates PodSecurity "restricted:latest" \]0;x$/,
  ],
])('what refuses a pod is named with its reason, made printable (%s)', async (code, why, sentence) => {
  api.admit = () => ({ code, reason: 'Forbidden', message: `pods "hatchway-node-0123abcd" is forbidden: ${why}` })
  const made = lifecycle.create(spec(), soon())
  await expect(made).rejects.toMatchObject({ code: 'CONTAINER_START_FAILED' })
  await expect(made).rejects.toThrow(sentence)
})

test('an account that may make no pods is not named to who logs in', async () => {
  const message = 'pods is forbidden: User "system:serviceaccount:hatchway:hatchway" cannot create resource "pods"'
  api.admit = () => ({ code: 403, reason: 'Forbidden', message })
  await expect(lifecycle.create(spec(), soon())).rejects.toMatchObject({
    message: 'container hatchway-node-0123abcd cannot be made: the gateway may not make pods in namespace shop',
    cause: { message },
  })
})

test('a name that is taken is told as such; one that is being given up is waited for', async () => {
  await lifecycle.create(spec(), soon())
  const again = await lifecycle.create(spec(), soon()).catch((error: unknown) => error)
  expect(isNameTaken(again)).toBe(true)
  api.deletionMs = 400
  const removal = lifecycle.remove(spec().name, soon())
  await until('it is leaving', () => api.deleted.length === 1)
  const id = await lifecycle.create(spec(), soon())
  await removal
  expect((await engine.inspect(id, soon())).state).toBe('running')
})

test('removes by name and by id, at once and only the very pod; one that is gone is no error', async () => {
  const id = await lifecycle.create(spec(), soon())
  api.set(podJson('web'))
  await lifecycle.remove('web', soon())
  expect([...api.pods.keys()]).toEqual([spec().name, 'web'])
  await Promise.all([lifecycle.remove(spec().name, soon()), lifecycle.remove(id, soon())])
  expect([...api.pods.keys()]).toEqual(['web'])
  expect(api.deleted[0]).toBe(`${spec().name} 1`)
  // Another has its name by now.
  await lifecycle.create(spec(), soon())
  await lifecycle.remove(id, soon())
  expect([...api.pods.keys()]).toEqual(['web', spec().name])
})

test('to stop one is to remove it, after its time', async () => {
  const id = await lifecycle.create(spec(), soon())
  await lifecycle.stop(id, 10, soon())
  expect(api.deleted).toEqual([`${spec().name} 10`])
  await expect(lifecycle.start(id, soon())).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
  for (const refused of [lifecycle.unpause(id, soon()), lifecycle.pull('x', () => {}, soon())])
    await expect(refused).rejects.toMatchObject({ code: 'NOT_SUPPORTED' })
})

test('marks are Leases of ours', async () => {
  const { marks } = engine
  api.leases.set('another', { metadata: { name: 'hatchway-another', labels: {} } })
  await Promise.all([marks?.put('hatchway-lease-a', soon()), marks?.put('hatchway-lease-a', soon())])
  await marks?.put('hatchway-lease-b', soon())
  expect(await marks?.list(soon())).toEqual(['hatchway-lease-a', 'hatchway-lease-b'])
  await marks?.drop('hatchway-lease-a', soon())
  await marks?.drop('hatchway-lease-a', soon())
  expect(await marks?.list(soon())).toEqual(['hatchway-lease-b'])
  api.forbidsLeases = true
  await expect(marks?.put('hatchway-lease-c', soon())).rejects.toMatchObject({ code: 'ENGINE_ERROR' })
})
