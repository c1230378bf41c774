/** What happens to pods, to the API server and to the way there, on a real node. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Engine } from '../../../src/engine/engine.ts'
import { type Kubernetes, podSpec, startKubernetes, whyNoKubernetes } from '../../support/kubernetes.ts'
import { run } from '../../support/run.ts'
import { until } from '../../support/wait.ts'
import { endless, runIn } from '../run.ts'

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 })

const top = join(import.meta.dirname, '../../..')
const soon = () => AbortSignal.timeout(30_000)
const LOOP = endless('echo ready; while :; do sleep 0.1; done')

describe.skipIf(whyNoKubernetes !== undefined)(`pods of a node (${whyNoKubernetes ?? 'it runs'})`, () => {
  let kubernetes: Kubernetes
  let engine: Engine
  let id: string

  beforeAll(async () => {
    kubernetes = await startKubernetes()
    engine = await kubernetes.engine()
    id = await kubernetes.control('run', '-d', '--name', 'steady', 'hatchway-busybox:latest')
  })
  afterAll(() => kubernetes?.close())

  async function apply(...objects: object[]): Promise<void> {
    for (const object of objects) await kubernetes.kubectl(['apply', '-f', '-'], JSON.stringify(object))
  }
  const ready = (pod: string) => kubernetes.kubectl(['wait', '--for=condition=Ready', `pod/${pod}`, '--timeout=80s'])
  const full = (pod: string, container = 'main') => `${container}.${pod}.${kubernetes.namespace}`

  /** A program under which `act` happens. */
  function under(containerId: string, act: () => Promise<unknown>, argv = LOOP) {
    return runIn(engine, containerId, argv, {
      stdin: null,
      limit: 60_000,
      async during(_exec, { out }) {
        await until('the program runs', () => out().includes('ready'), 20_000)
        await act()
      },
    })
  }

  test('it names its product and version, and is not this host', async () => {
    expect(await engine.info(soon())).toMatchObject({ product: 'kubernetes', local: false })
    expect((await engine.info(soon())).version).toMatch(/^1\.\d+/)
    expect(await engine.inspect(id, soon())).toMatchObject({ user: '0:0', arch: process.arch, name: full('steady') })
  })

  test('a pod of two containers, and a deployment, are called as people call them', async () => {
    const template = podSpec('unused', { labels: { app: 'web' }, restartPolicy: 'Always' })
    await apply(podSpec('two', { containers: ['main', 'side'] }), {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web' },
      spec: {
        replicas: 2,
        selector: { matchLabels: { app: 'web' } },
        template: { metadata: { labels: { app: 'web' } }, spec: template.spec },
      },
    })
    await ready('two')
    await kubernetes.kubectl(['rollout', 'status', 'deployment/web', '--timeout=80s'])
    const all = await engine.list(soon())
    const called = (name: string) => all.filter(({ names }) => names?.includes(name)).map((one) => one.name)
    expect(called(`two.${kubernetes.namespace}`)).toEqual([full('two'), full('two', 'side')])
    const [chosen = '', ...others] = called(`web.${kubernetes.namespace}`)
    expect(others).toEqual([])
    expect(chosen).toMatch(/^main\.web-/)
    expect(all.filter(({ name }) => name.startsWith('main.web-'))).toHaveLength(2)
    await kubernetes.kubectl(['delete', 'deployment', 'web'])
    await kubernetes.kubectl(['delete', 'pod', 'two', '--grace-period=1'])
  })

  test('a container that is restarted under a program is said to be, and is another run', async () => {
    await apply(podSpec('again', { restartPolicy: 'Always' }))
    await ready('again')
    const before = await engine.inspect(full('again'), soon())
    const ran = await under(before.id, () => kubernetes.control('kill', 'again'))
    expect([ran.status, ran.error?.code]).toEqual([undefined, 'CONTAINER_GONE'])
    expect(ran.error?.message).toMatch(/ was (restarted|killed)$/)
    await until(
      'it runs again',
      async () => {
        const now = await engine.inspect(full('again'), soon())
        return now.state === 'running' && now.startedAt !== before.startedAt
      },
      30_000,
    )
    await kubernetes.kubectl(['delete', 'pod', 'again', '--grace-period=1'])
  })

  test('what keeps crashing is not running, and says why', async () => {
    await apply(podSpec('crash', { restartPolicy: 'Always', container: { command: ['/bin/false'] } }))
    await until(
      'it waits',
      async () => (await kubernetes.kubectl(['get', 'pod', 'crash'])).includes('CrashLoopBackOff'),
      60_000,
    )
    const { id: crash } = await engine.inspect(full('crash'), soon())
    const ran = await runIn(engine, crash, ['true'])
    expect([ran.error?.code, ran.error?.message]).toEqual([
      'CONTAINER_NOT_RUNNING',
      `container ${full('crash')} is not running (CrashLoopBackOff)`,
    ])
    await kubernetes.kubectl(['delete', 'pod', 'crash', '--grace-period=1'])
  })

  test('an image that is not there is not running, and says why', async () => {
    await apply(podSpec('imageless', { image: 'hatchway-none:missing' }))
    await until(
      'it is known',
      async () => (await kubernetes.kubectl(['get', 'pod', 'imageless'])).includes('ErrImageNeverPull'),
      60_000,
    )
    const { id: none } = await engine.inspect(full('imageless'), soon())
    expect((await runIn(engine, none, ['true'])).error?.message).toContain('(ErrImageNeverPull)')
    await kubernetes.kubectl(['delete', 'pod', 'imageless', '--grace-period=1'])
  })

  test('a pod that is deleted under a program is said to be', async () => {
    const doomed = await kubernetes.control('run', '-d', '--name', 'doomed', 'hatchway-busybox:latest')
    const ran = await under(doomed, () => kubernetes.kubectl(['delete', 'pod', 'doomed', '--grace-period=1']))
    expect([ran.status, ran.error?.message]).toEqual([undefined, `container ${full('doomed')} was removed`])
  })

  test('a namespace in which exec is forbidden has no containers', async () => {
    await kubernetes.kubectl(['delete', 'rolebinding', 'hatchway-exec'])
    const forbidden = await kubernetes.engine()
    try {
      expect(await forbidden.list(soon())).toEqual([])
      await expect(forbidden.inspect(full('steady'), soon())).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
      // One that was told otherwise a moment ago is refused by the exec itself.
      expect((await runIn(engine, id, ['true'])).error?.code).toBe('CONTAINER_NOT_FOUND')
    } finally {
      await kubernetes.kubectl(['create', 'rolebinding', 'hatchway-exec', '--role=hatchway-exec', '--user=gateway'])
    }
    const again = await kubernetes.engine()
    await until('it may again', async () => (await again.list(soon())).length > 0)
    engine = again
  })

  test('fifty programs at once', async () => {
    const all = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        runIn(engine, id, ['sh', '-c', `echo ${index}; exit ${index}`], { limit: 120_000 }),
      ),
    )
    expect(all.map(({ text, status }) => [text, status])).toEqual(
      Array.from({ length: 50 }, (_, index) => [`${index}\n`, { code: index }]),
    )
  })

  test('an API server that goes away ends its streams, is told, and serves again when it is back', async () => {
    const stop = new AbortController()
    const events: string[] = []
    const own = await kubernetes.engine()
    void (async () => {
      for await (const event of own.events(stop.signal)) events.push(event.type)
    })()
    await own.list(soon())
    const script = join(top, 'scripts/kubernetes.sh')
    const ran = await under(id, async () => {
      await run(script, ['stop', 'apiserver'], { limit: 60_000 })
    })
    try {
      expect([ran.status, ran.error?.code]).toEqual([undefined, 'ENGINE_LOST'])
      await until('it is told', () => events.includes('lost'), 20_000)
    } finally {
      await run(script, ['apiserver'], { limit: 120_000 })
    }
    await until('it is back', () => events.includes('reconnected'), 30_000)
    expect((await runIn(own, id, ['echo', 'again'])).text).toBe('again\n')
    stop.abort()
  })

  test('the manifests are what an API server takes', async () => {
    const folder = join(top, 'packaging/kubernetes')
    const files = ['service-account', 'role-exec', 'config', 'deployment', 'service', 'disruption']
    for (const file of files) {
      const text = await readFile(join(folder, `${file}.yaml`), 'utf8')
      // Kubernetes 1.20 has no policy/v1 yet, and the same fields in the one before.
      const known = text.replace('apiVersion: policy/v1\n', 'apiVersion: policy/v1beta1\n')
      expect(await kubernetes.kubectl(['apply', '--dry-run=server', '-f', '-'], known), file).toMatch(/dry run/)
    }
    const all = await kubernetes.kubectl(['kustomize', folder])
    expect(all.match(/^kind: /gm)).toHaveLength(5)
    expect(all.match(/namespace: hatchway$/gm)?.length).toBeGreaterThanOrEqual(5)
  })
})
