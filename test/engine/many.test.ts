/** Several engines as one: whose each container is, what is known of it, and that one that is slow or gone harms no other. */
import { afterEach, expect, test, vi } from 'vitest'
import { Containers } from '../../src/container/containers.ts'
import type { Container, ContainerSummary, Engine, EngineEvent } from '../../src/engine/engine.ts'
import { engineNames, engineOf, enginesOf } from '../../src/engine/engine.ts'
import { createManyEngine } from '../../src/engine/many/many.ts'
import type { PartLimits, PartNotice } from '../../src/engine/many/part.ts'
import { deadline } from '../../src/lifetime/deadline.ts'
import { type FakeEngine, fakeEngine } from '../support/fake-engines.ts'
import { until } from '../support/wait.ts'

const QUICK: PartLimits = { listMs: 200, gatherMs: 5, retryMs: [20, 50], relistMs: 60_000 }
const soon = () => deadline(5_000)
const all = async () => true
const stops: (() => unknown)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

function open(engines: Record<string, FakeEngine>, follow = true, limits = QUICK) {
  const notices: PartNotice[] = []
  const engine = createManyEngine(engines, (notice) => void notices.push(notice), limits)
  const containers = new Containers(engine, { old: { kind: 'name', name: 'web' } })
  const heard: EngineEvent[] = []
  const stopped = new AbortController()
  stops.push(
    () => engine.close(),
    () => stopped.abort(),
  )
  if (follow) void containers.follow(stopped.signal, (event) => void heard.push(event))
  const find = async (
    ref: string,
    may: (one: Container | ContainerSummary) => Promise<boolean> = all,
    host = false,
  ) => {
    const { id, name } = await containers.resolve(ref, may, soon(), host)
    return `${id.split('/')[0]} ${name}`
  }
  const known = () =>
    [...engine.parts.directory.containers.values()].map(({ name, engine }) => `${name}.${engine}`).sort()
  return { engine, containers, notices, heard, find, known }
}

const may =
  (...names: string[]) =>
  async ({ name, engine }: Container | ContainerSummary) =>
    names.includes(`${name}.${engine}`)

test('a plain name is the container of the one engine that has it, a full name that of its engine', async () => {
  const { find } = open({
    laptop: fakeEngine('unix:///a', ['web', 'a.b']),
    build1: fakeEngine('unix:///b', ['web', 'db']),
  })
  expect(await find('db')).toBe('build1 db')
  expect(await find('web.laptop')).toBe('laptop web')
  expect(await find('web.build1')).toBe('build1 web')
  expect(await find('a.b')).toBe('laptop a.b')
  expect(await find('a.b.laptop')).toBe('laptop a.b')
  await expect(find('db.laptop')).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
  await expect(find('web')).rejects.toMatchObject({
    code: 'CONTAINER_AMBIGUOUS',
    message: '"web" means 2 containers: web.build1, web.laptop',
  })
})

test('who may enter one of two is not told of the other', async () => {
  const { find } = open({ laptop: fakeEngine('a', ['web', 'webb']), build1: fakeEngine('b', ['web']) })
  expect(await find('web', may('web.build1'))).toBe('build1 web')
  expect(await find('web.build1', may('web.build1'))).toBe('build1 web')
  const refused = find('web.laptop', may('web.build1'))
  await expect(refused).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
  await expect(refused).rejects.toThrow(/^no container "web.laptop"$/)
  await expect(find('wbe', may('web.build1'))).rejects.toThrow(/^no container "wbe"; did you mean web\?$/)
  await expect(find('wbe', may())).rejects.toThrow(/^no container "wbe"$/)
})

test('a container that is called like another one’s full name takes that name from nobody', async () => {
  const { find } = open({ laptop: fakeEngine('a', ['web.build1']), build1: fakeEngine('b', ['web']) })
  await expect(find('web.build1')).rejects.toMatchObject({ code: 'CONTAINER_AMBIGUOUS' })
  expect(await find('web')).toBe('build1 web')
  expect(await find('web.build1.laptop')).toBe('laptop web.build1')
  expect(await find('web.build1', may('web.build1'))).toBe('build1 web')
})

test('ids, their beginnings, aliases, labels and hosts’ small letters mean what they mean with one engine', async () => {
  const laptop = fakeEngine('a', ['Web'])
  const build1 = fakeEngine('b', [])
  const id = build1.add('x', {
    labels: { 'hatchway.name': 'shop', 'com.docker.compose.project': 'p', 'com.docker.compose.service': 's' },
  })
  const { find } = open({ laptop, build1 })
  for (const ref of [id, `build1/${id}`, id.slice(0, 63), 'shop', 's.p']) expect(await find(ref)).toBe('build1 x')
  await expect(find(id.slice(0, 3))).rejects.toThrow('no container')
  await expect(find('web')).rejects.toThrow('no container "web"; did you mean Web?')
  expect(await find('web', all, true)).toBe('laptop Web')
  build1.add('web')
  await until('it is known', async () => (await find('old').catch(() => '')) === 'build1 web')
})

test('to look a name up asks no engine, but for the one container that it means', async () => {
  const [laptop, build1] = [fakeEngine('a', ['web']), fakeEngine('b', ['db'])]
  const { find } = open({ laptop, build1 })
  await find('web')
  await until('the lists are in', () => build1.calls.length >= 2 && laptop.calls.length >= 3)
  const before = [laptop.calls.length, build1.calls.length]
  for (const ref of ['db', 'db.build1', 'no-such', 'web.no-such']) await find(ref).catch(() => {})
  expect(laptop.calls.length - (before[0] ?? 0)).toBe(0)
  expect(build1.calls.slice(before[1]).filter((call) => call !== 'list')).toHaveLength(1)
})

test('an engine that hangs or fails delays nobody else, is told of, and is not taken for empty', async () => {
  const [laptop, build1, build2] = [fakeEngine('a', ['web']), fakeEngine('b', ['db']), fakeEngine('c', ['x'])]
  build1.does = 'hang'
  build2.does = 'fail'
  const { engine, containers, find, notices } = open({ laptop, build1, build2 })
  expect(await find('web')).toBe('laptop web')
  const began = performance.now()
  expect((await engine.list(soon())).map(({ name }) => name)).toEqual(['web'])
  expect(await find('web.laptop')).toBe('laptop web')
  expect(performance.now() - began).toBeLessThan(150)
  expect(engine.parts.unanswered().map(({ engine, error }) => `${engine}: ${error.message}`)).toEqual([
    'build1: engine build1 did not answer within 0.2 s (listing containers)',
    'build2: engine build2 is not reachable',
  ])
  await expect(find('db')).rejects.toThrow(
    'no container "db"; did you mean web? (not every container engine can be asked now)',
  )
  expect(await containers.unanswered(all)).toEqual(['not every container engine can be asked now'])
  expect(notices).toMatchObject([{ type: 'silent', engine: 'build1' }])
  build1.does = 'answer'
  build2.does = 'answer'
  await until('both are back', () => engine.parts.unanswered().length === 0)
  expect(await find('db')).toBe('build1 db')
  expect(notices.at(-1)).toEqual({ type: 'answers', engine: 'build1' })
})

test('where no engine has answered yet, a name fails as with one engine that is away, and none is named', async () => {
  const [laptop, build1] = [fakeEngine('a', ['web']), fakeEngine('b', ['db'])]
  laptop.does = 'fail'
  build1.does = 'hang'
  const { containers, find } = open({ laptop, build1 })
  const nobody = async () => false
  for (const may of [all, nobody]) {
    await expect(find('web', may)).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: 'no container engine can be asked now',
    })
    expect(await containers.unanswered(may)).toEqual(['no container engine can be asked now'])
  }
  laptop.does = 'answer'
  await until('one is back', async () => (await find('web').catch(() => '')) === 'laptop web')
  await expect(find('db')).rejects.toThrow('no container "db"')
})

test('a name leads into no other container because its engine is away', async () => {
  const [laptop, build1] = [fakeEngine('a', ['own']), fakeEngine('b', ['web', 'db'])]
  const { engine, containers, find } = open({ laptop, build1 })
  expect(await find('db')).toBe('build1 db')
  build1.does = 'fail'
  build1.tell({
    type: 'lost',
    error: new (await import('../../src/base/errors.ts')).HatchwayError(
      'ENGINE_LOST',
      'the container engine went away',
    ),
  })
  await until('it is away', () => engine.parts.unanswered().length === 1)
  await expect(find('web')).rejects.toMatchObject({
    code: 'ENGINE_UNAVAILABLE',
    message: 'engine build1 is not reachable',
  })
  laptop.add('web')
  await until('the new one is known', async () => (await find('web.laptop').catch(() => '')) === 'laptop web')
  await expect(find('web')).rejects.toMatchObject({ code: 'CONTAINER_AMBIGUOUS' })
  // What the lost engine never had is free.
  laptop.add('new')
  await until('the other is known', async () => (await find('new').catch(() => '')) === 'laptop new')
  expect((await engine.list(soon())).map(({ name }) => name)).toEqual(['own', 'web', 'new'])
  // Whoever may enter nothing of the lost one hears nothing of it.
  expect(await containers.unanswered(may('own.laptop'))).toEqual([])
  expect(await containers.unanswered(all)).toEqual([
    expect.stringMatching(/^engine build1 (went away|is not reachable)$/),
  ])
})

test('an engine that comes back with other containers has those, and sessions are told that it went', async () => {
  const build1 = fakeEngine('b', ['web', 'db'])
  const { engine, heard, find, known } = open({ laptop: fakeEngine('a', ['x']), build1 })
  const { id } = await engine.inspect('web', soon())
  build1.does = 'fail'
  const { HatchwayError } = await import('../../src/base/errors.ts')
  build1.tell({ type: 'lost', error: new HatchwayError('ENGINE_LOST', 'the container engine went away') })
  await until('it is told', () => heard.some((event) => event.type === 'lost' && event.engine === 'build1'))
  build1.become(['web', 'new'])
  build1.does = 'answer'
  build1.tell({ type: 'reconnected' })
  await until('it is told', () => heard.some((event) => event.type === 'reconnected' && event.engine === 'build1'))
  await until('its containers are known', () => known().join() === 'new.build1,web.build1,x.laptop')
  expect(await find('web')).toBe('build1 web')
  expect((await engine.inspect('web', soon())).id).not.toBe(id)
  await expect(engine.inspect(id, soon())).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
  await expect(find('db')).rejects.toThrow('no container "db"')
})

test('a name whose container was replaced a moment ago is the new one, or none: never one of another name', async () => {
  const build1 = fakeEngine('b', ['web'])
  // Events come late, and what was inspected is not remembered any more.
  vi.useFakeTimers({ toFake: ['Date'] })
  stops.push(() => vi.useRealTimers())
  const later = () => vi.setSystemTime(Date.now() + 60_000)
  const { find } = open({ build1, laptop: fakeEngine('a', []) }, true, { ...QUICK, gatherMs: 60_000 })
  expect(await find('web')).toBe('build1 web')
  build1.become(['web', 'db'])
  later()
  expect(await find('web')).toBe('build1 web')
  build1.become(['other'])
  later()
  await expect(find('web')).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
})

test('events are told with whole ids, and follow containers as they come, go and are renamed', async () => {
  const build1 = fakeEngine('b', ['web'])
  const { heard, known } = open({ build1, laptop: fakeEngine('a', ['x']) })
  const id = build1.add('new')
  await until('it is known', () => known().includes('new.build1'))
  expect(heard).toContainEqual({ type: 'container', action: 'create', id: `build1/${id}` })
  build1.drop('web')
  await until('it is gone', () => known().join() === 'new.build1,x.laptop')
})

test('two that are one daemon are one entry, in whatever order they answer; copies of a machine are two', async () => {
  const twins = () => {
    const one = fakeEngine('unix:///a', ['web'], 'D1')
    const other: FakeEngine = { ...one, endpoint: 'tcp://a:2375', calls: [] }
    return { one, other }
  }
  for (const follow of [true, false]) {
    const { one, other } = twins()
    const clone = fakeEngine('tcp://clone', ['web-of-clone'], 'D1')
    const { engine, find, notices } = open({ first: one, second: other, clone }, follow)
    const names = async () => (await engine.list(soon())).map(({ name, engine }) => `${name}.${engine}`)
    expect(await names()).toEqual(['web.first', 'web-of-clone.clone'])
    expect(await find('web')).toBe('first web')
    await expect(find('web.second')).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
    expect(notices).toEqual([{ type: 'same-daemon', engine: 'second', as: 'first' }])
  }
})

test('an engine that claims another one’s id and containers hides nothing and takes no name, wherever it stands', async () => {
  for (const order of ['liar first', 'liar last']) {
    const honest = fakeEngine('unix:///a', ['web'], 'D1')
    honest.add('shop')
    const liar = fakeEngine('tcp://evil', [], 'D1')
    liar.copy(honest)
    const engines: Record<string, FakeEngine> = order === 'liar first' ? { liar, honest } : { honest, liar }
    const { find, known, notices } = open(engines)
    await expect(find('web')).rejects.toMatchObject({ code: 'CONTAINER_AMBIGUOUS' })
    expect(await find('web.honest')).toBe('honest web')
    expect(known()).toEqual(['shop.honest', 'shop.liar', 'web.honest', 'web.liar'])
    expect(honest.put.length + liar.put.length).toBe(1)
    // Not again with each of its containers.
    honest.add('new')
    await until('it is known', () => known().includes('new.honest'))
    expect(honest.put.length + liar.put.length).toBe(1)
    expect(notices).toEqual([])
  }
})

test('one that claims it and then tells of no marks hides nothing either, and the log says that it cannot be known', async () => {
  const honest = fakeEngine('unix:///a', ['web'], 'D1')
  const liar = fakeEngine('tcp://evil', [], 'D1')
  liar.copy(honest)
  const refused = new (await import('../../src/base/errors.ts')).HatchwayError('ENGINE_ERROR', 'no')
  Object.assign(liar, { marks: { ...liar.marks, list: () => Promise.reject(refused) } })
  const { find, notices, known } = open({ liar, honest })
  expect(await find('web.honest')).toBe('honest web')
  expect(known()).toEqual(['web.honest', 'web.liar'])
  expect(notices).toMatchObject([{ type: 'unproved', engine: 'honest', as: 'liar', error: { message: 'no' } }])
})

test('two that are one stay one while containers come and go, and are two once another daemon answers at one', async () => {
  const one = fakeEngine('unix:///a', ['web'], 'D1')
  const other: FakeEngine = { ...one, endpoint: 'tcp://a:2375' }
  const { find, known, notices } = open({ first: one, second: other })
  expect(await find('web')).toBe('first web')
  for (const name of ['x', 'y', 'z']) {
    one.add(name)
    await until('it is known', () => known().includes(`${name}.first`))
    expect(known().filter((known) => known.endsWith('.second'))).toEqual([])
  }
  expect(one.put).toHaveLength(1)
  const { HatchwayError } = await import('../../src/base/errors.ts')
  const another = fakeEngine('tcp://a:2375', ['of-another'], 'D1')
  for (const event of [
    { type: 'lost', error: new HatchwayError('ENGINE_LOST', 'the container engine went away') } as const,
    { type: 'reconnected' } as const,
  ]) {
    Object.assign(other, { list: another.list, marks: another.marks })
    one.tell(event)
  }
  await until('it has its own', () => known().includes('of-another.second'))
  expect(notices.map(({ type }) => type)).toEqual(['same-daemon', 'other-daemon'])
})

test('what concerns a container is asked of its engine, by the id that the engine knows', async () => {
  const started: string[] = []
  const lifecycle: Engine['lifecycle'] = {
    start: async (id) => void started.push(id),
    create: async () => 'f'.repeat(64),
    ...{ unpause: async () => {}, stop: async () => {}, othersInside: async () => false },
    ...{ anyInside: async () => false, logs: async () => '' },
    ...{ remove: async (ref: string) => void started.push(`rm ${ref}`), pull: async () => {} },
  }
  const build1: FakeEngine = {
    ...fakeEngine('b', ['web']),
    lifecycle,
    carries: { user: 'none', cwd: false, env: false },
  }
  const { engine } = open({ laptop: fakeEngine('a', ['db']), build1 })
  const { id, engine: name } = await engine.inspect('web', soon())
  expect(name).toBe('build1')
  const own = engineOf(engine, id)
  expect(own.carries?.user).toBe('none')
  expect(engineOf(engine, (await engine.inspect('db', soon())).id).lifecycle).toBeUndefined()
  expect(own.lifecycle).toBe(enginesOf(engine)[1]?.lifecycle)
  await own.lifecycle?.start(id, soon())
  expect(started).toEqual([id.slice('build1/'.length)])
  const made = await own.lifecycle?.create(
    { name: 'n', image: 'i', env: [], labels: {}, mounts: [], init: false },
    soon(),
  )
  expect(made).toBe(`build1/${'f'.repeat(64)}`)
  await own.lifecycle?.remove('n', soon())
  expect(started.at(-1)).toBe('rm n')
  expect(engineNames(engine, { engine: 'build1' })).toEqual(['build1', 'b'])
  expect(() => engineOf(engine, 'gone/1')).toThrow('no container "gone/1"')
})

test('a limit of the caller ends the wait, and closing ends everything', async () => {
  const build1 = fakeEngine('b', ['web'])
  build1.does = 'hang'
  const { engine, find } = open({ build1 }, false, { ...QUICK, listMs: 60_000 })
  await expect(engine.list(deadline(30))).rejects.toThrow('nothing within 30 ms')
  const waiting = find('web')
  await engine.close()
  await expect(waiting).rejects.toThrow()
})
