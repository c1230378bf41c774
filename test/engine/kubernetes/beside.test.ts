/** Containers without a shell, with an ephemeral container beside them. The API server is of the tests' own: the API is stable since 1.25. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Engine } from '../../../src/engine/engine.ts'
import { createKubernetesEngine } from '../../../src/engine/kubernetes/kubernetes.ts'
import { type KubeApi, podJson, startKubeApi } from '../../support/kube-api.ts'
import { runIn } from '../run.ts'

const soon = () => AbortSignal.timeout(20_000)
const NAME = 'main.bare.shop'
const ID = 'shop/uid-bare/main'
let api: KubeApi
let engine: Engine

beforeEach(async () => {
  api = await startKubeApi()
  api.withoutShell.add('main')
  api.set(podJson('bare'))
  engine = createKubernetesEngine({ access: api.access, debugImage: 'debug:1' })
})
afterEach(async () => {
  await engine.close()
  await api.close()
})

function ephemeral(): object[] {
  const { spec } = (api.pods.get('bare') ?? {}) as { spec?: { ephemeralContainers?: object[] } }
  return spec?.ephemeralContainers ?? []
}
const add = (told: string[] = []) => engine.beside?.add(ID, (words) => told.push(words), soon())

test('one without a shell needs another beside it, which is in its processes, and whose programs are then its own', async () => {
  expect(await engine.inspect(NAME, soon())).toMatchObject({ id: ID, state: 'running', beside: 'needed' })
  await add()
  expect(ephemeral()).toEqual([
    {
      name: expect.stringMatching(/^hatchway-[0-9a-f]{8}$/),
      ...{ image: 'debug:1', targetContainerName: 'main', command: ['/bin/sh', '-c', expect.any(String)] },
      securityContext: { capabilities: { add: ['SYS_PTRACE'] } },
    },
  ])
  const [uid, gid] = [process.getuid?.(), process.getgid?.()]
  expect(await engine.inspect(NAME, soon())).toMatchObject({ id: ID, user: `${uid}:${gid}`, beside: 'used' })
  expect((await runIn(engine, ID, ['sh', '-c', 'echo $((6*7))'])).text).toBe('42\n')
  // There is one already; and another gateway finds it as well.
  await add()
  const other = createKubernetesEngine({ access: api.access, debugImage: 'debug:1' })
  expect(await other.inspect(NAME, soon())).toMatchObject({ beside: 'used' })
  await other.close()
  expect(ephemeral()).toHaveLength(1)
})

test('asked twice at once there is one', async () => {
  await Promise.all([add(), add()])
  expect(ephemeral()).toHaveLength(1)
})

test('without an image for it, one without a shell is a sentence', async () => {
  const plain = createKubernetesEngine({ access: api.access })
  expect(plain.beside).toBeUndefined()
  await expect(plain.inspect(NAME, soon())).rejects.toMatchObject({
    code: 'NOT_SUPPORTED',
    message: `container ${NAME} has no /bin/sh, and there is no other way into it`,
  })
  await plain.close()
})

test.each([
  [
    { code: 404, reason: 'NotFound', message: 'the server could not find the requested resource' },
    /the cluster has no ephemeral/,
  ],
  [
    {
      code: 403,
      reason: 'Forbidden',
      message: 'pods "bare" is forbidden: User "g" cannot patch resource "pods/ephemeralcontainers"',
    },
    /: the gateway may not add one$/,
  ],
  [
    { code: 403, reason: 'Forbidden', message: 'pods "bare" is forbidden: violates PodSecurity "baseline"\u001b[1m' },
    /: violates PodSecurity "baseline" \[1m$/,
  ],
])('what refuses it is named: %j', async (no, sentence) => {
  api.noEphemeral = no
  await expect(add()).rejects.toMatchObject({ code: 'NOT_SUPPORTED' })
  await expect(add()).rejects.toThrow(sentence)
})

test('an image that cannot be pulled is said to be so, and of a pod that was made again nothing is asked', async () => {
  api.besideState = { waiting: { reason: 'ImagePullBackOff', message: 'no such tag' } }
  await expect(add()).rejects.toThrow('the engine has no image debug:1 and cannot pull it: no such tag')
  expect(await engine.inspect(NAME, soon())).toMatchObject({ beside: 'needed' })
  api.set(podJson('bare', { uid: 'another' }))
  await expect(add()).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
})

test('one that has ended, and one of somebody else, are not used', async () => {
  await add()
  const [{ name }] = ephemeral() as [{ name: string }]
  const pod = api.pods.get('bare') ?? {}
  const state = { terminated: { exitCode: 0 } }
  api.set({ ...pod, status: { ...(pod.status as object), ephemeralContainerStatuses: [{ name, state }] } })
  expect(await engine.inspect(NAME, soon())).toMatchObject({ beside: 'needed' })
  const theirs = [{ name: 'debugger-x', image: 'i', targetContainerName: 'main' }]
  const running = [{ name: 'debugger-x', state: { running: {} } }]
  api.set({
    ...pod,
    spec: { ...(pod.spec as object), ephemeralContainers: theirs },
    status: { ...(pod.status as object), ephemeralContainerStatuses: running },
  })
  expect(await engine.inspect(NAME, soon())).toMatchObject({ beside: 'needed' })
})
