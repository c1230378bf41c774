/** Where a connection leads: each question to the rules in its place, and one container for all of a connection. */
import { expect, test } from 'vitest'
import { HatchwayError } from '../../src/base/errors.ts'
import { configSchema } from '../../src/config/schema.ts'
import type { Containers } from '../../src/container/containers.ts'
import type { EnvInfo } from '../../src/container/envinfo.ts'
import { notFound } from '../../src/container/find.ts'
import type { Entrance } from '../../src/container/lifecycle/starter.ts'
import { planContainer } from '../../src/container/templates/template.ts'
import type { MadeContainers } from '../../src/container/templates/template-containers.ts'
import type { Container } from '../../src/engine/engine.ts'
import { deferred } from '../../src/lifetime/deferred.ts'
import type { Gate } from '../../src/policy/gate.ts'
import type { Action, Request } from '../../src/policy/request.ts'
import { createDestinations } from '../../src/session/destination.ts'
import { anna, dev, web } from '../support/people-and-places.ts'

const patient = new AbortController().signal
const { templates = {} } = configSchema.parse({ templates: { node: { image: 'node' } } })
const shell = { kind: 'shell' } as const

function world(login: string, container: Container | 'none' = web) {
  const first = container === 'none' ? undefined : container
  const calls: string[] = []
  const refused = new Set<string>()
  const madeUntil: AbortSignal[] = []
  const places: string[] = []
  /** `starts`: what a start makes of it. `answers`: the engine does, about names. */
  const state: {
    named: Container | undefined
    known: Container | undefined
    dev: EnvInfo
    starts?: () => Container
    answers?: Promise<void>
    recorded: boolean
  } = { named: first, known: first, dev, recorded: true }
  const policy = async ({ action, user }: Omit<Request, 'identity' | 'origin'>) => {
    const name = `may ${action.kind}${action.kind === 'enter' && user ? ` as ${user.name} ${user.uid}` : ''}`
    calls.push(name)
    return refused.has(name)
      ? ({ allowed: false, by: 'rule', reason: 'no' } as const)
      : ({ allowed: true, by: 'rule', readOnly: false } as const)
  }
  const containers = {
    async resolve(ref: string, mayEnter: (it: Container) => Promise<boolean>) {
      await state.answers
      const found = ref === state.known?.id ? state.known : state.named
      if (!found || !(await mayEnter(found))) throw notFound(ref, [])
      return found
    },
    known: async () => state.known,
    envInfo: async () => state.dev,
    async accompanied(container: Container, tell: (words: string) => void) {
      calls.push('put one beside it')
      tell('starting')
      state.known = { ...container, beside: 'used' }
      state.named = state.known
      return state.known
    },
    async *visible() {},
  } as Partial<Containers> as Containers
  const starter = {
    async running(container: Container, { may }: Entrance) {
      if (container.state === 'running') return container
      await may()
      calls.push('start')
      if (!state.starts) throw new HatchwayError('CONTAINER_NOT_RUNNING', 'container web is stopped')
      return state.starts()
    },
    canStart: () => true,
    close() {},
  }
  const made = {
    names: ['node'],
    plan: (route, owner) => planContainer(templates, route, owner, {}),
    async container(_plan, closed) {
      madeUntil.push(closed)
      calls.push('make')
      return web
    },
  } as Partial<MadeContainers> as MadeContainers
  const gate = {
    async demand(action: Action, target: { info: typeof dev }) {
      const { info: user } = target
      const answer = await policy({ action, user, container: web })
      calls.splice(-1, 1, `${calls.at(-1)} (${user.uid})`)
      if (!answer.allowed) throw new HatchwayError('NOT_PERMITTED', answer.reason)
      return answer
    },
  } as Partial<Gate> as Gate
  const who = { identity: anna, origin: { connectionId: '1', login, remote: { address: '::1', port: 1 } } }
  const led = (_closed: AbortSignal, { name }: Container) => void places.push(name)
  const demandRecord = () => {
    if (!state.recorded) throw new HatchwayError('AUDIT_UNAVAILABLE', 'nothing may go unrecorded')
  }
  const destinations = createDestinations({
    containers,
    starter,
    made,
    policy,
    hostSuffixes: [],
    emit: (event) => void ('action' in event && event.type === 'container' && calls.push(event.action)),
    led,
    demandRecord,
  })
  const destination = destinations.open(who, patient, async () => {})
  return { calls, places, refused, madeUntil, state, gate, destinations, destination, who }
}

test('one that runs: to be there, as whom, to do what', async () => {
  const { calls, gate, destination } = world('dev@web')
  const { target } = await destination.enter(gate, [shell, { kind: 'pty' }], patient)
  expect(target.container).toBe(web)
  expect(calls).toEqual(['may enter', 'may enter as dev 1000', 'may shell (1000)', 'may pty (1000)'])
})

test.each(['dev@web', '+node'])(
  'where %s leads is told once, also of a container that was made for it',
  async (login) => {
    const { places, gate, destination, destinations, who } = world(login)
    const there = await destinations.check(who, destinations.routeFor({ login }), patient)
    expect(there?.name).toBe(login === 'dev@web' ? 'web' : undefined)
    expect(places).toEqual([])
    await destination.enter(gate, [shell], patient)
    await destination.enter(gate, [shell], patient)
    expect(places).toEqual(['web'])
  },
)

const stopped: Container = { ...web, state: 'exited' }

test('what is refused starts nothing', async () => {
  const { calls, refused, gate, destination } = world('dev@web', stopped)
  refused.add('may shell')
  await expect(destination.enter(gate, [shell], patient)).rejects.toMatchObject({ code: 'NOT_PERMITTED' })
  expect(calls).not.toContain('start')
})

test('started with another passwd, all of it is asked again of who that says', async () => {
  const { calls, state, gate, destination } = world('dev@web', stopped)
  state.starts = () => {
    state.dev = { ...dev, uid: 0 }
    return web
  }
  const { target } = await destination.enter(gate, [shell], patient)
  expect(target.info.uid).toBe(0)
  expect(calls.slice(calls.indexOf('start') + 1)).toEqual(['may enter as dev 0', 'may shell (0)'])
})

test('files of a stopped container can be had without its start, a shell cannot', async () => {
  const { gate, destination, refused } = world('dev@web', stopped)
  refused.add('may start')
  expect((await destination.enter(gate, [{ kind: 'sftp' }], patient)).target.container).toBe(stopped)
  await expect(destination.enter(gate, [shell], patient)).rejects.toMatchObject({ code: 'NOT_PERMITTED' })
})

test('another container of that name is not entered by a connection that was in the first; nor is there one where it is gone', async () => {
  const { state, gate, destination } = world('dev@web')
  await destination.enter(gate, [shell], patient)
  state.named = { ...web, id: 'facade' }
  expect((await destination.enter(gate, [shell], patient)).target.container.id).toBe(web.id)
  state.known = undefined
  await expect(destination.enter(gate, [shell], patient)).rejects.toMatchObject({ code: 'CONTAINER_CHANGED' })
  state.named = undefined
  await expect(destination.enter(gate, [shell], patient)).rejects.toMatchObject({ code: 'CONTAINER_CHANGED' })
})

test('entered again it is the very same or none: nothing is started, no other of its name is meant', async () => {
  const { calls, state, gate, destination } = world('dev@web')
  const { target } = await destination.enter(gate, [shell], patient)
  state.known = stopped
  await expect(destination.again(gate, shell, target, patient)).rejects.toMatchObject({ code: 'CONTAINER_NOT_RUNNING' })
  state.known = undefined
  state.named = { ...web, id: 'facade' }
  await expect(destination.again(gate, shell, target, patient)).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
  expect(calls).not.toContain('start')
})

test('a template is asked for before it is made, and then what is made', async () => {
  const { calls, gate, destination } = world('dev@+node')
  await destination.enter(gate, [shell], patient)
  expect(calls).toEqual(['may create', 'make', 'may enter as dev 1000', 'may shell (1000)'])
})

test.each([
  ['node', 'is refused'],
  ['other', 'is not there'],
])('a template (%s) that %s is not made, in the same words', async (name) => {
  const { calls, refused, gate, destinations, destination, who } = world(`dev@+${name}`)
  refused.add('may create')
  const failure = { code: 'CONTAINER_NOT_FOUND', message: `no template "${name}"` }
  await expect(destinations.check(who, destinations.routeFor(who.origin), patient)).rejects.toMatchObject(failure)
  await expect(destination.enter(gate, [shell], patient)).rejects.toMatchObject(failure)
  expect(calls).not.toContain('make')
})

/** Two sessions of a connection that leads to the gateway; each is asked. */
async function asked(login: string) {
  const { state, ...rest } = world(login, 'none')
  const [one, other] = [await rest.destination.unknown(), await rest.destination.unknown()]
  if (!one || !other) throw new Error('nobody is asked')
  state.named = web
  state.known = web
  return { ...rest, state, one, other }
}
const chosenAlready = { code: 'NOT_PERMITTED', message: expect.stringContaining('has chosen') }

test.each([
  ['alice', 'db'],
  ['alice', '+node'],
  ['dev@', 'db'],
])(
  '%s: of two who are asked the second cannot choose another (%s), at once or later; nothing is made',
  async (login, ref) => {
    for (const turn of ['later', 'at once']) {
      const { calls, gate, destination, one, other } = await asked(login)
      const first = one.choose('web')
      if (turn === 'later') await first
      await expect(other.choose(ref)).rejects.toMatchObject(chosenAlready)
      await first
      expect((await destination.enter(gate, [shell], patient)).target.container).toBe(web)
      expect(calls).not.toContain('make')
    }
  },
)

test('two who choose the same are both let in', async () => {
  const { gate, destination, one, other } = await asked('alice')
  await Promise.all([one.choose('web'), other.choose('web')])
  expect((await destination.enter(gate, [shell], patient)).target.container).toBe(web)
  expect(await destination.unknown()).toBeUndefined()
})

test('who is asked cannot choose another than what a command entered, as a container came by that word', async () => {
  const { gate, destination, one } = await asked('alice')
  await destination.enter(gate, [shell], patient)
  await expect(one.choose('db')).rejects.toMatchObject(chosenAlready)
  expect(await destination.unknown()).toBeUndefined()
})

test('a command that looked for the word before another container was chosen enters neither', async () => {
  const { gate, destination, state, one } = await asked('alice')
  const { promise, resolve } = deferred()
  state.answers = promise
  const entering = destination.enter(gate, [shell], patient)
  await one.choose('db')
  resolve()
  await expect(entering).rejects.toMatchObject(chosenAlready)
  state.named = { ...web, id: 'facade' }
  expect((await destination.enter(gate, [shell], patient)).target.container.id).toBe('facade')
})

test('a later round asks, though a container has the login’s word by then; what it has made is until its end', async () => {
  const { state, madeUntil, gate, destinations, destination, who } = world('wbe', 'none')
  expect(await destination.toGateway).toBe(true)
  state.named = { ...web, name: 'wbe' }
  const { signal } = new AbortController()
  const later = destinations.open(who, signal, async () => {}, destination.toGateway)
  expect(await later.now()).toBeUndefined()
  const question = await later.unknown()
  await question?.choose('+node')
  await later.enter(gate, [shell], patient)
  expect(madeUntil).toEqual([signal])
})

test('where it cannot be recorded nothing is entered, nor entered again', async () => {
  const { state, gate, calls, destination } = world('dev@web')
  const { target } = await destination.enter(gate, [shell], patient)
  calls.length = 0
  state.recorded = false
  const refusal = { code: 'AUDIT_UNAVAILABLE' }
  await expect(destination.enter(gate, [shell], patient)).rejects.toMatchObject(refusal)
  await expect(destination.again(gate, shell, target, patient)).rejects.toMatchObject(refusal)
  expect(calls).toEqual([])
})

test('where nothing of ours can start, another is put beside it by whoever may debug, who is told once', async () => {
  const { calls, gate, destination, state } = world('dev@web', { ...web, beside: 'needed' })
  // A client’s requests before its session starts put nothing there.
  expect(await destination.now()).toBeUndefined()
  calls.splice(0)
  const told: string[] = []
  const tell = (line: string) => void told.push(line)
  const { target } = await destination.enter(gate, [shell], patient, tell)
  expect(target.container).toBe(state.known)
  expect(calls).toEqual([
    'may enter',
    'may debug',
    'put one beside it',
    'accompanied',
    'may enter as dev 1000',
    'may shell (1000)',
  ])
  expect(told).toEqual([
    'container web has no shell: putting a debug container beside it, which stays in its pod ...',
    'container web: starting',
    'you are in the debug container; the files of web are in /proc/1/root, or of another process there',
  ])
  calls.splice(0)
  await destination.enter(gate, [shell], patient, tell)
  expect(calls).toEqual(['may enter', 'may debug', 'may enter as dev 1000', 'may shell (1000)'])
  expect(told).toHaveLength(3)
})

test.each(['needed', 'used'] as const)('who may not debug is not let into what is beside it (%s)', async (beside) => {
  const { calls, refused, gate, destination } = world('dev@web', { ...web, beside })
  refused.add('may debug')
  await expect(destination.enter(gate, [shell], patient)).rejects.toMatchObject({ code: 'NOT_PERMITTED' })
  const entered = { container: web, info: dev }
  await expect(destination.again(gate, shell, entered, patient)).rejects.toMatchObject({ code: 'NOT_PERMITTED' })
  expect(calls.filter((call) => !call.startsWith('may enter'))).toEqual(['may debug', 'may debug'])
})
