/** Pods that are made from templates, on a real node: what comes up, what does not and why, and that none is left. */
import pino from 'pino'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { configSchema } from '../../../src/config/schema.ts'
import { createMadeContainers } from '../../../src/container/templates/template-containers.ts'
import type { Container, Engine } from '../../../src/engine/engine.ts'
import { type Kubernetes, startKubernetes, whyNoKubernetes } from '../../support/kubernetes.ts'
import { until } from '../../support/wait.ts'
import { runIn } from '../run.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const soon = () => AbortSignal.timeout(30_000)
const patient = new AbortController().signal
const IMAGE = 'docker.io/library/hatchway-busybox:latest'

describe.skipIf(whyNoKubernetes !== undefined)(`pods made on a node (${whyNoKubernetes ?? 'it runs'})`, () => {
  let kubernetes: Kubernetes
  let engine: Engine
  const ends: (() => Promise<unknown>)[] = []

  beforeAll(async () => {
    kubernetes = await startKubernetes()
    engine = await kubernetes.engine()
  })
  afterAll(async () => {
    for (const end of ends) await end()
    await kubernetes?.close()
  })

  function template(more: object, kind: 'fresh' | 'personal' = 'fresh') {
    const { templates = {} } = configSchema.parse({ templates: { t: { image: IMAGE, pull: 'never', ...more } } })
    const id = Math.random().toString(16).slice(2).padEnd(32, '0').slice(0, 32)
    const instance = { gateway: 'g', id, folder: 'f', lives: async () => true, close: async () => {} }
    const made = createMadeContainers(engine, templates, instance, pino({ level: 'silent' }), () => {})
    ends.push(() => made.close())
    const closed = new AbortController()
    const told: string[] = []
    const plan = made.plan({ template: { name: 't', kind } }, { id: 'a'.repeat(32), name: 'ann@example.com' })
    const container = () => made.container(plan, closed.signal, (line) => told.push(line), patient)
    return { plan, container, closed, told, name: plan.spec.name }
  }
  const there = async (name: string) => (await kubernetes.kubectl(['get', 'pods', '-o', 'name'])).includes(name)
  const gone = (name: string) => until(`${name} is gone`, async () => !(await there(name)), 60_000, 500)
  const insideOf = ({ id }: Container) => ({
    others: () => engine.lifecycle?.othersInside(id, soon()),
    any: () => engine.lifecycle?.anyInside(id, soon()),
  })

  test.each([false, true])(
    'a fresh one runs, tells who is inside, and is removed (processes shared: %s)',
    async (shared) => {
      const { container, closed, name } = template({
        ...{
          user: '1000:1000',
          env: { HW_A: 'b $(HOME) $HOME' },
          workdir: '/tmp',
          limits: { memory: '64m', cpus: 0.5 },
        },
        mounts: [{ type: 'tmpfs', target: '/scratch' }],
        pod: { spec: { shareProcessNamespace: shared, nodeSelector: { 'kubernetes.io/hostname': 'node1' } } },
      })
      const made = await container()
      expect(made).toMatchObject({
        state: 'running',
        user: '1000:1000',
        labels: { 'hatchway.owner.name': 'ann@example.com' },
      })
      expect(made.env).toContain('HW_A=b $(HOME) $HOME')
      const { others, any } = insideOf(made)
      expect([await others(), await any()]).toEqual([false, false])
      await runIn(engine, made.id, ['cat'], {
        stdin: null,
        async during() {
          expect([await others(), await any()]).toEqual([false, true])
          const theirs = kubernetes.kubectl([
            'exec',
            name,
            '-c',
            'main',
            '--',
            'sh',
            '-c',
            'until [ -e /tmp/over ]; do sleep 0.1; done',
          ])
          await until('theirs is seen', others)
          await kubernetes.kubectl(['exec', name, '-c', 'main', '--', 'touch', '/tmp/over'])
          await theirs
          await until('it is seen to be over', async () => !(await others()))
        },
        limit: 40_000,
      })
      // No account of the cluster is lent to who logs in.
      const seen = await runIn(engine, made.id, ['sh', '-c', 'pwd; ls -d /scratch /var/run/secrets 2>&1'])
      expect(seen.text).toMatch(/^\/tmp\n(?=.*\/scratch\n).*No such file/s)
      closed.abort()
      await gone(name)
      expect(await kubernetes.kubectl(['get', 'leases', '-o', 'name'])).toContain('hatchway-lease-')
    },
  )

  test('a personal one is found again, and made anew after its end', async () => {
    const { container, name } = template({}, 'personal')
    const first = await container()
    expect((await template({}, 'personal').container()).id).toBe(first.id)
    await kubernetes.control('kill', first.id)
    await until('it has ended', async () => (await engine.inspect(first.id, soon())).state === 'exited', 30_000)
    const second = await container()
    expect([second.state, second.id === first.id]).toEqual(['running', false])
    await engine.lifecycle?.stop(second.id, 1, soon())
    await gone(name)
  })

  test('a registry that cannot be reached is a sentence, and the pod is removed', async () => {
    const { container, name } = template({ image: '127.0.0.1:1/none:latest', pull: 'missing' })
    const made = container()
    await expect(made).rejects.toMatchObject({ code: 'IMAGE_UNAVAILABLE' })
    await expect(made).rejects.toThrow(/cannot pull it: .*refused/)
    await gone(name)
  })

  test('no node has so many processors: that is told while it waits, and who leaves leaves no pod', async () => {
    const { container, closed, told, name } = template({ limits: { cpus: 1000 } })
    const made = container()
    made.catch(() => {})
    await until('it is told', () => told.some((line) => /Insufficient cpu/.test(line)), 60_000)
    closed.abort(new Error('left'))
    await expect(made).rejects.toThrow('left')
    await gone(name)
  })

  test('a program that is not there, a Secret that is not there, and one that ends at once', async () => {
    await expect(template({ command: ['/no/such'] }).container()).rejects.toThrow(/cannot be started: .*no such file/)
    const env = [{ name: 'S', valueFrom: { secretKeyRef: { name: 'none', key: 'k' } } }]
    const pod = { spec: { containers: [{ name: 'main', env }] } }
    await expect(template({ pod }).container()).rejects.toThrow(/cannot be started: secret "none" not found/)
    const over = template({ command: ['sh', '-c', 'echo no data >&2; exit 3'] })
    await expect(over.container()).rejects.toThrow(/ended at once with code 3: no data/)
  })

  test('a quota, and a pod that the API server does not take, are sentences', async () => {
    const unknown = template({ pod: { spec: { restartPolicy: 'Sometimes' } } })
    await expect(unknown.container()).rejects.toThrow(/cannot be made: .*restartPolicy: .*Sometimes/)
    await kubernetes.kubectl(['create', 'quota', 'none', '--hard=pods=0'])
    try {
      await until('the quota holds', async () =>
        (await kubernetes.kubectl(['get', 'quota', 'none', '-o', 'json'])).includes('"used"'),
      )
      await expect(template({}).container()).rejects.toThrow(/cannot be made: exceeded quota: none/)
    } finally {
      await kubernetes.kubectl(['delete', 'quota', 'none'])
    }
  })
})
