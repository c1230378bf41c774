/** Who has a container started, and when it is stopped again: on an engine that only notes what it is told. */
import pino from 'pino'
import { afterEach, expect, test } from 'vitest'
import { HatchwayError } from '../../../src/base/errors.ts'
import { createStarter, type StarterSettings } from '../../../src/container/lifecycle/starter.ts'
import type { Container, Engine, Lifecycle } from '../../../src/engine/engine.ts'
import { deferred } from '../../../src/lifetime/deferred.ts'
import { web } from '../../support/people-and-places.ts'
import { sleep } from '../../support/wait.ts'

const log = pino({ level: 'silent' })
const stopped: Container = { ...web, state: 'exited' }
const patient = new AbortController().signal
let close = () => {}
afterEach(() => close())

function world(settings: StarterSettings, first: Container = stopped) {
  const calls: string[] = []
  const told: string[] = []
  const others = { inside: false }
  const held = deferred()
  held.resolve()
  const gate = { start: held.promise }
  let now = first
  let run = 1
  const lifecycle = {
    async start() {
      calls.push('start')
      await gate.start
      run++
      now = { ...now, state: 'running', startedAt: `${run}` }
    },
    async unpause() {
      calls.push('unpause')
      now = { ...now, state: 'running' }
    },
    async stop() {
      calls.push('stop')
      now = { ...now, state: 'exited' }
    },
    othersInside: async () => others.inside,
  } as Partial<Lifecycle> as { -readonly [K in keyof Lifecycle]: Lifecycle[K] }
  const engine = { lifecycle, inspect: async () => now } as Partial<Engine> as Engine
  const starter = createStarter(
    engine,
    settings,
    () => calls.push('forget'),
    log,
    () => {},
    { againMs: 30 },
  )
  close = starter.close
  const closed = new AbortController()
  const may = async (): Promise<void> => void calls.push('may')
  const entrance = { may, tell: (line: string) => void told.push(line), closed: closed.signal }
  return {
    calls,
    told,
    others,
    gate,
    lifecycle,
    ended: (exitCode: number) => {
      now = { ...now, state: 'exited', exitCode }
    },
    starter,
    closed,
    entrance,
    enter: (more = {}, signal: AbortSignal = patient) => starter.running(now, { ...entrance, ...more }, signal),
    restartedByHand: () => {
      now = { ...now, state: 'running', startedAt: `${++run}` }
    },
  }
}

test('one that runs is entered, and nobody is asked', async () => {
  const { calls, enter } = world({ startOnConnect: true }, web)
  expect(await enter()).toBe(web)
  expect(calls).toEqual([])
})

test.each([
  ['exited', 'stopped'],
  ['paused', 'paused'],
  ['created', 'not started'],
] as const)(
  'where nothing is started by itself, one that is %s is said to be, and the rules are not asked',
  async (state, word) => {
    const { calls, enter } = world({ startOnConnect: false }, { ...web, state })
    await expect(enter()).rejects.toMatchObject({ code: 'CONTAINER_NOT_RUNNING', message: `container web is ${word}` })
    expect(calls).toEqual([])
  },
)

test('who may not start it has nothing started, and is told nothing', async () => {
  const { calls, told, enter } = world({ startOnConnect: true })
  const may = async () => {
    throw new HatchwayError('NOT_PERMITTED', 'no')
  }
  await expect(enter({ may })).rejects.toMatchObject({ code: 'NOT_PERMITTED' })
  expect([calls, told]).toEqual([[], []])
})

test('asked by two at once it is started once; one who leaves does not take it from the other', async () => {
  const { calls, told, gate, enter } = world({ startOnConnect: true })
  const hold = deferred()
  gate.start = hold.promise
  const leaving = new AbortController()
  const [first, second] = [enter({}, leaving.signal), enter({ closed: new AbortController().signal })]
  await expect.poll(() => calls).toContain('start')
  leaving.abort(new Error('left'))
  await expect(first).rejects.toThrow('left')
  hold.resolve()
  expect((await second).state).toBe('running')
  expect(calls).toEqual(['may', 'may', 'start', 'forget'])
  expect(told).toEqual(['starting container web ...', 'starting container web ...'])
})

test('on a busy machine, where the start took long, an end that comes late is seen to be one at once', async () => {
  const { gate, lifecycle, enter, ended } = world({ startOnConnect: true })
  gate.start = sleep(600)
  lifecycle.logs = async () => 'starting\nno data\n'
  void gate.start.then(() => setTimeout(() => ended(7), 400))
  await expect(enter()).rejects.toMatchObject({
    code: 'CONTAINER_START_FAILED',
    message: 'container web ended at once with code 7: no data',
  })
})

test('one of our own making is started whatever the configuration says, and without a word', async () => {
  const { calls, told, enter } = world({ startOnConnect: false }, { ...web, state: 'created' })
  await enter({ own: true })
  expect(calls).toEqual(['may', 'start', 'forget'])
  expect(told).toEqual([])
})

test('what was started is stopped after the last one, not while somebody else is in it', async () => {
  const { calls, others, closed, enter } = world({ startOnConnect: true, stopAfter: 30 })
  others.inside = true
  await enter()
  await new Promise((resolve) => setTimeout(resolve, 60))
  expect(calls).not.toContain('stop')
  closed.abort()
  await new Promise((resolve) => setTimeout(resolve, 60))
  expect(calls).not.toContain('stop')
  others.inside = false
  await expect.poll(() => calls).toEqual(['may', 'start', 'forget', 'stop', 'forget'])
})

test('a stop that fails, as while the engine hangs, is tried again; who comes meanwhile keeps it running', async () => {
  const { calls, lifecycle, closed, enter } = world({ startOnConnect: true, stopAfter: 10 })
  const { stop } = lifecycle
  let fails = true
  lifecycle.stop = async (...args) => {
    if (fails) throw new HatchwayError('ENGINE_TIMEOUT', 'hangs')
    return stop(...args)
  }
  await enter()
  closed.abort()
  await sleep(60)
  const next = new AbortController()
  await enter({ closed: next.signal })
  fails = false
  await sleep(60)
  expect(calls).not.toContain('stop')
  next.abort()
  await expect.poll(() => calls).toContain('stop')
})

test('what somebody else has begun again, or was unpaused, is not ours to stop', async () => {
  const again = world({ startOnConnect: true, stopAfter: 20 })
  await again.enter()
  again.restartedByHand()
  again.closed.abort()
  const paused = world({ startOnConnect: true, stopAfter: 20 }, { ...web, state: 'paused' })
  await paused.enter()
  paused.closed.abort()
  await new Promise((resolve) => setTimeout(resolve, 80))
  expect(again.calls).not.toContain('stop')
  expect(paused.calls).toEqual(['may', 'unpause', 'forget'])
})
