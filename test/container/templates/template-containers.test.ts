/** Containers made from templates: which limit covers which step. The engine is a fake, for its pulls and creates must be slow. */
import { setTimeout as sleep } from 'node:timers/promises'
import pino from 'pino'
import { expect, test } from 'vitest'
import { HatchwayError } from '../../../src/base/errors.ts'
import { configSchema } from '../../../src/config/schema.ts'
import { plannedContainer } from '../../../src/container/templates/template.ts'
import { createMadeContainers } from '../../../src/container/templates/template-containers.ts'
import type { Container, Engine, Lifecycle } from '../../../src/engine/engine.ts'
import { createManyEngine } from '../../../src/engine/many/many.ts'
import { localEngine } from '../../support/local-engine.ts'
import { web } from '../../support/people-and-places.ts'

const LIMITS = { stepMs: 150, silentPullMs: 300 }
const log = pino({ level: 'silent' })

interface Slow {
  readonly pull: 'always' | 'missing'
  readonly kind?: 'fresh' | 'personal'
  /** Milliseconds that the pull takes, and how often it says something meanwhile. */
  readonly pullMs: number
  readonly saysEvery: number
  readonly createMs?: number
}

function world({ pull, kind = 'fresh', pullMs, saysEvery, createMs = 0 }: Slow) {
  let there = false
  let exists = false
  const calls: string[] = []
  const removed: string[] = []
  const unused = () => Promise.reject(new Error('not expected'))
  const found: Container = {
    ...{ id: 'x', name: 'made', image: 'i', state: 'created', startedAt: '', exitCode: 0, user: '', workdir: '' },
    ...{ env: [], labels: {}, addresses: [], readOnlyRootfs: false, usernsMode: '', mounts: [] },
  }
  const lifecycle: Lifecycle = {
    ...{ start: unused, unpause: unused, stop: unused, logs: unused, othersInside: unused, anyInside: unused },
    async pull(_image, progress, signal) {
      calls.push('pull')
      for (let passed = 0; passed < pullMs; passed += saysEvery) {
        await sleep(saysEvery, undefined, { signal }).catch(() => signal.throwIfAborted())
        progress({ layers: 1, complete: 0, bytes: passed, total: pullMs })
      }
      there = true
    },
    async create(_spec, signal) {
      if (!there) throw new HatchwayError('IMAGE_UNAVAILABLE', 'no image')
      calls.push('create')
      await sleep(createMs, undefined, { signal }).catch(() => signal.throwIfAborted())
      exists = true
      return 'x'
    },
    async remove(ref) {
      calls.push('remove')
      removed.push(ref)
    },
  }
  const engine: Engine = {
    ...{ kind: 'fake', endpoint: 'fake', lifecycle, exec: unused, info: unused },
    ...{ async *events() {}, close: async () => {} },
    list: async () => [],
    async inspect(_ref, signal) {
      signal.throwIfAborted()
      if (!exists) throw new HatchwayError('CONTAINER_NOT_FOUND', 'no container')
      return found
    },
  }
  const templates = configSchema.parse({ templates: { t: { image: 'i', pull } } }).templates ?? {}
  const instance = { gateway: 'g', id: 'i', folder: 'f', lives: async () => true, close: async () => {} }
  const made = createMadeContainers(engine, templates, instance, log, () => {}, LIMITS)
  const closed = new AbortController()
  const plan = made.plan({ template: { name: 't', kind } }, { id: 'me', name: 'me' })
  const container = made.container(plan, closed.signal, () => {}, new AbortController().signal)
  return { container, calls, removed, closed, engine, made, name: plan.spec.name }
}

test.each(['always', 'missing'] as const)(
  'what comes after a long pull has its whole limit (pull: %s)',
  async (pull) => {
    const { container, calls } = world({ pull, pullMs: 600, saysEvery: 50, createMs: 100 })
    expect((await container).name).toBe('made')
    expect(calls).toEqual(['pull', 'create'])
  },
)

test('a personal container waits for its image as well', async () => {
  const { container } = world({ pull: 'missing', kind: 'personal', pullMs: 600, saysEvery: 50 })
  expect((await container).name).toBe('made')
})

test('another gateway that makes the same personal container this moment is waited for', async () => {
  const { container, engine, calls } = world({ pull: 'always', kind: 'personal', pullMs: 10, saysEvery: 10 })
  const { lifecycle } = engine
  let asked = 0
  Object.assign(engine, {
    lifecycle: {
      ...lifecycle,
      async create() {
        calls.push('taken')
        const cause = new Error('Conflict. The container name "/made" is already in use by container "c0ffee".')
        throw new HatchwayError('ENGINE_ERROR', 'the container engine refused', { cause })
      },
    },
    inspect: async () => {
      if (++asked < 4) throw new HatchwayError('CONTAINER_NOT_FOUND', 'no container')
      return { ...web, labels: { 'hatchway.template': 't', 'hatchway.kind': 'personal' } }
    },
  })
  expect((await container).name).toBe('web')
  expect([calls, asked]).toEqual([['pull', 'taken'], 4])
})

test('a pull of which nothing is heard is given up with a sentence, and what it was for is removed', async () => {
  const { container, calls } = world({ pull: 'missing', pullMs: 5000, saysEvery: 5000 })
  await expect(container).rejects.toMatchObject({
    code: 'IMAGE_UNAVAILABLE',
    message: expect.stringMatching(/^the engine has no image i and cannot pull it: nothing came for/),
  })
  expect(calls).toEqual(['pull', 'remove'])
})

test('a pull ends with the connection that it is for', async () => {
  const { container, closed } = world({ pull: 'missing', pullMs: 5000, saysEvery: 50 })
  closed.abort(new HatchwayError('CLIENT_GONE', 'gone'))
  await expect(container).rejects.toMatchObject({ code: 'CLIENT_GONE' })
})

test.each(['its connection', 'the gateway'])(
  'what an engine made it removes, also if another is used when %s ends',
  async (end) => {
    const { container, calls, closed, engine, made } = world({ pull: 'always', pullMs: 10, saysEvery: 10 })
    await container
    const others: string[] = []
    Object.assign(engine, { lifecycle: { ...engine.lifecycle, remove: async () => void others.push('remove') } })
    if (end === 'the gateway') await made.close()
    else closed.abort()
    await expect.poll(() => calls).toEqual(['pull', 'create', 'remove'])
    expect(others).toEqual([])
  },
)

test.each(['its connection', 'the gateway'])(
  'the very container is removed when %s ends, not another that has its name by then; a create of which nothing was heard by name',
  async (end) => {
    const stop = ({ closed, made }: ReturnType<typeof world>) => (end === 'the gateway' ? made.close() : closed.abort())
    const one = world({ pull: 'always', pullMs: 10, saysEvery: 10 })
    await one.container
    await stop(one)
    await expect.poll(() => one.removed).toEqual(['x'])
    const other = world({ pull: 'always', pullMs: 10, saysEvery: 10, createMs: 5000 })
    await expect(other.container).rejects.toMatchObject({ code: 'ENGINE_TIMEOUT' })
    await stop(other)
    await expect.poll(() => other.removed).toEqual([other.name])
  },
)

test('a create that hangs is the engine’s timeout', async () => {
  const { container } = world({ pull: 'always', pullMs: 10, saysEvery: 10, createMs: 5000 })
  await expect(container).rejects.toMatchObject({ code: 'ENGINE_TIMEOUT' })
})

test('a template that names no engine is planned for the first of several, so that rules of engines see where it is made', async () => {
  const engine = createManyEngine({ one: localEngine(), two: localEngine() })
  const templates = configSchema.parse({
    templates: { t: { image: 'i' }, far: { image: 'i', engine: 'two' } },
  }).templates
  const instance = { gateway: 'g', id: 'i', folder: 'f', lives: async () => true, close: async () => {} }
  const made = createMadeContainers(engine, templates ?? {}, instance, log, () => {}, LIMITS)
  const placed = ['t', 'far'].map((name) =>
    plannedContainer(made.plan({ template: { name, kind: 'fresh' } }, { id: 'me', name: 'me' })),
  )
  expect(placed.map((container) => container.engine)).toEqual(['one', 'two'])
  await made.close()
  await engine.close()
})
