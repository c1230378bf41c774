/**
 * An engine that hangs at one step of a session's start: whichever it is, the session ends with ENGINE_TIMEOUT. The steps
 * are those of session/serve.ts in its order; the engine is a real one, behind a proxy that loses the step's request.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import pino from 'pino'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { UNRESTRICTED } from '../../src/auth/restrictions.ts'
import { asHatchwayError } from '../../src/base/errors.ts'
import type { ExitStatus } from '../../src/base/program.ts'
import { configSchema } from '../../src/config/schema.ts'
import { Containers } from '../../src/container/containers.ts'
import { sessionEnvironment } from '../../src/container/environment.ts'
import { createStarter } from '../../src/container/lifecycle/starter.ts'
import { createPlainRoad } from '../../src/container/plain.ts'
import { sessionProgram } from '../../src/container/program.ts'
import { runProgram } from '../../src/container/run.ts'
import { createMadeContainers } from '../../src/container/templates/template-containers.ts'
import { createDockerEngine } from '../../src/engine/docker/docker.ts'
import type { Engine } from '../../src/engine/engine.ts'
import { createGuestPool } from '../../src/guest/pool.ts'
import { deadline } from '../../src/lifetime/deadline.ts'
import type { Gate } from '../../src/policy/gate.ts'
import { createPolicy } from '../../src/policy/policy.ts'
import type { Granted } from '../../src/policy/request.ts'
import { createDestinations } from '../../src/session/destination.ts'
import { docker, startContainer, type TestContainer, testName } from '../support/containers.ts'
import { type HangingEngine, startHangingEngine } from '../support/hanging-engine.ts'

const LIMIT_MS = 2000
const log = pino({ level: 'silent' })
const remote = { address: '127.0.0.1', port: 1 }

let proxy: HangingEngine
let container: TestContainer
let engine: Engine

beforeAll(async () => {
  proxy = await startHangingEngine()
  container = await startContainer('busybox')
}, 60_000)
afterAll(async () => {
  await container.remove()
  await proxy.close()
})
afterEach(async () => {
  proxy.hang(undefined)
  await engine.close()
})

/** `dev@NAME` as a host's name: then it is the list that is asked, not the engine's own idea of a name. */
const listed = (name: string) => ({ login: 'dev', host: name })
const named = (name: string) => ({ login: `dev@${name}` })
const template = () => ({ login: '+t' })

async function session(
  login: (name: string) => { login: string; host?: string },
  guest: boolean,
  limitMs = LIMIT_MS,
): Promise<ExitStatus> {
  engine = createDockerEngine({ endpoint: proxy.endpoint, callDeadline: limitMs, startDeadline: limitMs })
  const containers = new Containers(engine, {}, limitMs)
  const starter = createStarter(
    engine,
    { startOnConnect: true },
    () => {},
    log,
    () => {},
    { changeMs: limitMs },
  )
  const { templates = {} } = configSchema.parse({ templates: { t: { image: 'hatchway-busybox:latest' } } })
  const instance = { gateway: testName('g'), id: 'i', folder: '', lives: async () => true, close: async () => {} }
  const limits = { stepMs: limitMs, silentPullMs: limitMs }
  const made = createMadeContainers(engine, templates, instance, log, () => {}, limits)
  const policy = createPolicy({ rules: undefined, acceptEnv: [], engine: { endpoint: 'any' } })
  const destinations = createDestinations({
    containers,
    starter,
    made,
    policy,
    hostSuffixes: [],
    emit: () => {},
    led: () => {},
  })
  const identity = {
    ...{ name: 'me', method: 'publickey', fingerprint: 'SHA256:x', source: 'test', groups: [] },
    ...{ principals: [], restrictions: UNRESTRICTED },
  }
  const who = { identity, origin: { connectionId: 'c', remote, ...login(container.name) } }
  const closed = new AbortController()
  const granted: Granted = { allowed: true, by: 'test', readOnly: false }
  const gate: Gate = {
    demand: async () => granted,
    allow: async () => true,
    sift: async (a) => a,
    hold: () => () => {},
  }
  const { signal } = new AbortController()
  const guests = createGuestPool(engine, { mode: guest ? 'auto' : 'off' }, log)
  try {
    const destination = destinations.open(who, closed.signal, async () => {})
    const { target } = await destination.enter(gate, [{ kind: 'shell' }], signal)
    const { info } = target
    const user = { exec: info.engineUser, uid: info.uid, gid: info.gid }
    const place = {
      ...{ road: createPlainRoad(engine), container: target.container, user: info, killTree: false },
      guest: await guests.acquire(target.container, user, signal),
    }
    const env = sessionEnvironment({
      ...{ info, containerEnv: [], labels: {}, configured: {}, client: new Map(), remote, local: remote },
    })
    const program = sessionProgram({ kind: 'exec', command: Buffer.from('true') }, info, env)
    const exec = await runProgram({ place, program, tty: undefined, sink: { write: () => true }, signal })
    exec.stdin.end()
    return await exec.exit
  } finally {
    closed.abort(new Error('closed'))
    proxy.hang(undefined)
    await guests.close()
    await made.close()
    starter.close()
  }
}

const STEPS = {
  'its version': [/^GET \/version/, named],
  'the inspection': [/^GET \S*\/containers\/hw-test[^/]*\/json/, named],
  'the list': [/^GET \S*\/containers\/json/, listed],
  'what passwd is': [/^HEAD \S*\/archive/, named],
  'passwd itself': [/^GET \S*\/archive/, named],
  'the making of an exec': [/^POST \S*\/containers\/[^/]*\/exec/, named],
  'the start of an exec': [/^POST \S*\/exec\/[^/]*\/start/, named],
  'the end of an exec': [/^GET \S*\/exec\/[^/]*\/json/, named],
  'the making of a container': [/^POST \S*\/containers\/create/, template],
  'the inspection of what was made': [/^GET \S*\/containers\/[0-9a-f]{64}\/json/, template],
  'the start of what was made': [/^POST \S*\/containers\/[^/]*\/start/, template],
} as const

test.each(Object.entries(STEPS))('an engine that hangs at %s is a timeout', async (_step, [request, login]) => {
  proxy.hang(request)
  const before = proxy.lost.length
  await expect(session(login, false).catch((error) => Promise.reject(asHatchwayError(error)))).rejects.toMatchObject({
    code: 'ENGINE_TIMEOUT',
    message: expect.stringMatching(/^the container engine did not answer within 2 s \(/),
  })
  expect(proxy.lost.length).toBeGreaterThan(before)
})

test.each([
  ['stopped', ['kill'], /^POST \S*\/containers\/[^/]*\/start/],
  ['paused', ['pause'], /^POST \S*\/containers\/[^/]*\/unpause/],
] as const)(
  'an engine that hangs while it brings up a %s container is a timeout',
  async (_state, [change], request) => {
    await docker(change, container.id)
    try {
      proxy.hang(request)
      const before = proxy.lost.length
      await expect(session(named, false)).rejects.toMatchObject({ code: 'ENGINE_TIMEOUT' })
      expect(proxy.lost.length).toBeGreaterThan(before)
    } finally {
      await docker(change === 'pause' ? 'unpause' : 'start', container.id)
    }
  },
)

test('an engine that hangs at every exec is a timeout also where a helper is to be had', async () => {
  proxy.hang(/^POST \S*\/containers\/[^/]*\/exec/)
  const before = proxy.lost.length
  await expect(session(named, true)).rejects.toMatchObject({ code: 'ENGINE_TIMEOUT' })
  expect(proxy.lost.length).toBeGreaterThan(before)
})

test.each([
  ['with the helper', true],
  ['without', false],
])('a copy call that hangs, as it does with a volume that does, is in nobody’s way: %s', async (_, guest) => {
  const other = await startContainer('busybox', { args: ['-v', '/data'] })
  try {
    proxy.hang(/\/archive/)
    const before = proxy.lost.length
    expect(await session(() => named(other.name), guest, 20_000)).toEqual({ code: 0 })
    expect(proxy.lost.length).toBe(before)
  } finally {
    await other.remove()
  }
})

test('what the proxy does not lose works: the same session runs', async () => {
  for (const login of [named, listed, template]) expect(await session(login, false, 20_000)).toEqual({ code: 0 })
})

test('a login that gave up waiting and the session after it wait for one limit together', async () => {
  engine = createDockerEngine({ endpoint: proxy.endpoint, callDeadline: 60_000 })
  proxy.hang(/^GET \S*\/containers\/hw-test[^/]*\/json/)
  const containers = new Containers(engine, {}, LIMIT_MS)
  const before = proxy.lost.length
  const login = containers.resolve(container.name, async () => true, deadline(LIMIT_MS / 2))
  await expect(login).rejects.toMatchObject({ name: 'TimeoutError' })
  const found = containers.resolve(container.name, async () => true, new AbortController().signal)
  await expect(found).rejects.toMatchObject({ code: 'ENGINE_TIMEOUT' })
  // What is asked next by the same session, too.
  const next = containers.resolve(container.name, async () => true, new AbortController().signal)
  await expect(next).rejects.toMatchObject({ code: 'ENGINE_TIMEOUT' })
  expect(proxy.lost.length).toBe(before + 1)
  proxy.hang(undefined)
  await sleep(1000)
  const again = await containers.resolve(container.name, async () => true, new AbortController().signal)
  expect(again.id).toBe(container.id)
})
