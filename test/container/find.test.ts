import { expect, test } from 'vitest'
import { brief, findContainer, nearestNames } from '../../src/container/find.ts'
import type { ContainerSummary } from '../../src/engine/engine.ts'

function container(name: string, id: string, labels: Record<string, string> = {}): ContainerSummary {
  return {
    id: id.padEnd(64, '0'),
    name,
    labels,
    image: 'i',
    state: 'running',
    status: 'Up',
    createdAt: 0,
    ports: [],
    mounts: [],
  }
}

const compose = (service: string, project: string, number: string) => ({
  'com.docker.compose.service': service,
  'com.docker.compose.project': project,
  'com.docker.compose.container-number': number,
})

const containers = [
  container('web', 'abcd1234'),
  container('abcd', 'ffff0000'),
  container('shop-db-1', '11110001', compose('db', 'shop', '1')),
  container('shop-app-1', '22220001', compose('app', 'shop', '1')),
  container('shop-app-2', '22220002', compose('app', 'shop', '2')),
  container('eager_bell', '33330001', { 'devcontainer.local_folder': 'C:\\Users\\me\\proj' }),
  container('calm_bell', '33330002', { 'devcontainer.local_folder': '/home/me/site' }),
]

test.each([
  ['web', 'web'],
  ['abcd1', 'web'],
  ['abcd', 'abcd'],
  ['db.shop', 'shop-db-1'],
  ['app.shop.2', 'shop-app-2'],
  ['proj', 'eager_bell'],
  ['/home/me/site', 'calm_bell'],
])('%s names %s', (ref, name) => {
  expect(findContainer(ref, containers).name).toBe(name)
})

const inPod = (called: string, pod: string, names: readonly string[]) => ({
  ...container(`${called}.${pod}.shop`, pod),
  id: `shop/uid-${pod}/${called}`,
  names,
})
const pods = [
  inPod('main', 'web-a', ['web-a.shop', 'web.shop']),
  inPod('main', 'web-b', ['web-b.shop']),
  inPod('main', 'two', ['two.shop']),
  inPod('side', 'two', ['two.shop']),
]

test.each([
  ['main.web-b.shop', 'main.web-b.shop'],
  ['web-b.shop', 'main.web-b.shop'],
  ['web.shop', 'main.web-a.shop'],
  ['shop/uid-two/side', 'side.two.shop'],
])('%s names %s in its pod', (ref, name) => {
  expect(findContainer(ref, pods).name).toBe(name)
})

test('a pod of several containers is ambiguous, and the beginning of an id that is no digest names nothing', () => {
  expect(() => findContainer('two.shop', pods)).toThrow('"two.shop" means 2 containers: main.two.shop, side.two.shop')
  expect(() => findContainer('shop/uid-web-a', pods)).toThrow('no container')
  expect(() => findContainer('shop', [pods[0] ?? container('x', '1')])).toThrow('no container')
})

test('an ambiguous name says which containers it could mean, and guesses none', () => {
  expect(() => findContainer('app.shop', containers)).toThrow('"app.shop" means 2 containers: shop-app-1, shop-app-2')
  expect(() => findContainer('2222', containers)).toThrow(/means 2 containers/)
})

const again = [
  {
    ...container('old', 'aaaa0001', { 'hatchway.name': 'api', ...compose('api', 'shop', '1') }),
    state: 'exited' as const,
  },
  container('new', 'aaaa0002', { 'hatchway.name': 'api', app: 'api', ...compose('api', 'shop', '1') }),
  container('once', 'aaaa0003', { ...compose('api', 'shop', '1'), 'com.docker.compose.oneoff': 'True' }),
  container('taken', 'aaaa0004'),
  container('Upper', 'aaaa0005'),
]
const aliases = {
  front: { kind: 'label', key: 'app', value: 'api' },
  labelled: { kind: 'label', key: 'app' },
  composed: { kind: 'compose', service: 'api.shop' },
  named: { kind: 'name', name: 'taken' },
  taken: { kind: 'name', name: 'new' },
  nothing: { kind: 'label', key: 'toString' },
} as const

test.each([
  ['api', 'new'],
  ['api.shop', 'new'],
  ['front', 'new'],
  ['labelled', 'new'],
  ['composed', 'new'],
  ['named', 'taken'],
  // The operator's word wins over whoever called a container so.
  ['taken', 'new'],
])('%s, which survives that a container is made again, names %s', (ref, name) => {
  expect(findContainer(ref, again, { aliases }).name).toBe(name)
})

test('two that run and have one label are not guessed at; one that is stopped is found when no other is there', () => {
  const two = [...again, container('twin', 'aaaa0006', { 'hatchway.name': 'api' })]
  expect(() => findContainer('api', two)).toThrow('"api" means 2 containers: new, twin')
  expect(findContainer('api', again.slice(0, 1)).name).toBe('old')
})

test('an alias of nothing is no container, whatever it is called', () => {
  for (const ref of ['nothing', 'toString', '__proto__', 'constructor', ''])
    expect(() => findContainer(ref, again, { aliases })).toThrow(/^no container/)
})

test('small letters of a host stand for capitals, a capital only for itself', () => {
  expect(findContainer('upper', again, { host: true }).name).toBe('Upper')
  expect(findContainer('Upper', again, { host: true }).name).toBe('Upper')
  expect(() => findContainer('upper', again)).toThrow(/^no container/)
  expect(() => findContainer('TAKEN', again, { host: true })).toThrow(/^no container/)
  const both = [...again, container('upper', 'aaaa0007')]
  expect(() => findContainer('upper', both, { host: true })).toThrow('"upper" means 2 containers: Upper, upper')
  expect(findContainer('Upper', both, { host: true }).name).toBe('Upper')
})

test('an unknown name gets the nearest names, a strange one none', () => {
  expect(() => findContainer('wbe', containers)).toThrow('no container "wbe"; did you mean web?')
  expect(() => findContainer('zzzzzzzz', containers)).toThrow(/^no container "zzzzzzzz"$/)
})

test('an id prefix shorter than four digits is no name', () => {
  expect(() => findContainer('abc', containers)).toThrow(/no container/)
})

test('only containers of the given list are ever named', () => {
  expect(() => findContainer('web1', [])).toThrow(/^no container "web1"$/)
})

test('client text goes back without control characters and short', () => {
  expect(brief('a\x1b[31m\nb')).toBe('a\\x1b[31m\\x0ab')
  expect(brief('x'.repeat(500))).toHaveLength(83)
})

test('nearest is bounded for hostile lengths', () => {
  const started = Date.now()
  nearestNames(
    'a'.repeat(100_000),
    Array.from({ length: 1000 }, (_, index) => `${'b'.repeat(10_000)}${index}`),
  )
  expect(Date.now() - started).toBeLessThan(2000)
})

const swarm = [2, 10, 1, 3].map((number) => ({
  ...container(`web.${number}`, `c${number}`.padEnd(8, '7')),
  ...{ engine: 'prod', service: 'web', task: `task${number}abcdefgh` },
  ...(number === 1 && { state: 'exited' as const }),
}))

test('a service’s name is its first task that runs, its tasks are found by their ids', () => {
  const all = [...swarm, { ...container('each.node1', 'dddd0001'), engine: 'prod', service: 'each', task: 'other' }]
  for (const [ref, name] of [
    ['web', 'web.2'],
    ['web.prod', 'web.2'],
    ['web.10', 'web.10'],
    ['web.10.prod', 'web.10'],
    ['task3abcdefgh', 'web.3'],
    ['task3', 'web.3'],
    ['each', 'each.node1'],
  ] as const) {
    expect(findContainer(ref, all).name, ref).toBe(name)
  }
  expect(() => findContainer('task', all)).toThrow('means 3 containers')
  // A container of that very name comes first; services of two engines are two.
  expect(findContainer('web', [...all, { ...container('web', 'eeee0001'), engine: 'laptop' }]).engine).toBe('laptop')
  const two = [...all, ...swarm.map((one) => ({ ...one, engine: 'test' }))]
  expect(() => findContainer('web', two)).toThrow('"web" means 8 containers: web.1.prod, ')
  expect(findContainer('web.test', two)).toMatchObject({ name: 'web.2', engine: 'test' })
})

test('what two engines have is refused also where only one of them runs; of one engine the one that runs is meant', () => {
  const of = (engine: string, name: string, id: string, state: ContainerSummary['state']) => ({
    ...container(name, id, { ...compose('web', 'shop', '1'), 'hatchway.name': 'front' }),
    ...{ engine, state, service: 'site' },
  })
  const prod = of('prod', 'shop-web-1', 'aaaa1111', 'exited')
  const dev = of('dev', 'shop-web-1', 'bbbb1111', 'running')
  const naming = { aliases: { entry: { kind: 'compose', service: 'web.shop' } } } as const
  for (const ref of ['web.shop', 'front', 'entry', 'site']) {
    const refused = `"${ref}" means 2 containers: shop-web-1.dev, shop-web-1.prod`
    expect(() => findContainer(ref, [prod, dev], naming), ref).toThrow(refused)
    const again = of('prod', 'shop-web-2', 'cccc1111', 'running')
    expect(findContainer(ref, [prod, again], naming).name, ref).toBe('shop-web-2')
  }
})
