/**
 * The order of a session's story is its security: what is refused, or hangs, at one step leaves all later ones undone. The
 * clock and whatever would reach an engine are fakes that note each call; destination, gate, registry and pump are the real ones.
 */
import { Readable } from 'node:stream'
import pino from 'pino'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Identity } from '../../src/auth/identity.ts'
import { type FailureCode, HatchwayError } from '../../src/base/errors.ts'
import type { ExitStatus } from '../../src/base/program.ts'
import type { ContainerEvent } from '../../src/container/container-event.ts'
import type { Containers } from '../../src/container/containers.ts'
import { notFound } from '../../src/container/find.ts'
import type { Starter } from '../../src/container/lifecycle/starter.ts'
import type { PlainRoad } from '../../src/container/plain.ts'
import type { Container, OutputSink } from '../../src/engine/engine.ts'
import type { Guest, GuestExec } from '../../src/guest/guest.ts'
import { deferred } from '../../src/lifetime/deferred.ts'
import { onAbort } from '../../src/lifetime/on-abort.ts'
import { logEvents } from '../../src/observe/log-events.ts'
import { createGate } from '../../src/policy/gate.ts'
import type { PolicyEvent } from '../../src/policy/policy-events.ts'
import type { Request } from '../../src/policy/request.ts'
import { createDestinations } from '../../src/session/destination.ts'
import { SessionRegistry } from '../../src/session/registry.ts'
import { serveSession } from '../../src/session/serve.ts'
import type { SessionEvent } from '../../src/session/session-events.ts'
import { Budgets } from '../../src/ssh/budget.ts'
import type { SessionStart, SshSession } from '../../src/ssh/session.ts'
import { fakeExec } from '../support/fake-exec.ts'
import { anna, annas, dev, web } from '../support/people-and-places.ts'

/** A shell on a terminal in a running container, as everybody's `ssh dev@web`; `refused`: also what is told of it. */
const STORY = [
  { step: 'accept' },
  { step: 'today', refused: 'not accepted any more' },
  { step: 'resolve', refused: 'engine said no' },
  { step: 'may enter web', refused: 'no container' },
  { step: 'passwd', refused: 'engine said no' },
  { step: 'may enter web as dev', refused: 'rules said no' },
  { step: 'may shell', refused: 'rules said no' },
  { step: 'may pty', refused: 'rules said no' },
  { step: 'bring up', refused: 'engine said no' },
  { step: 'registry', refused: 'engine said no' },
  { step: 'hold shell,pty', refused: 'engine said no' },
  { step: 'sift', refused: 'engine said no' },
  { step: 'env', refused: 'engine said no' },
  { step: 'helper', refused: 'engine said no' },
  { step: 'inward', refused: 'engine said no' },
  { step: 'earlier', refused: 'engine said no' },
  { step: 'motd' },
  { step: 'listen' },
  { step: 'start', refused: 'engine said no' },
  { step: 'running' },
  { step: 'pour' },
  { step: 'exit 0' },
  { step: 'stopped' },
  { step: 'release' },
] as const
const STEPS = STORY.map(({ step }): string => step)
const REFUSABLE = STORY.flatMap((it) => ('refused' in it ? [[it.step, it.refused] as const] : []))
/** Which the engine, or a client, may hold up for ever once the session is known. */
const HANGING = ['sift', 'helper', 'inward', 'earlier', 'start']

const here = { address: '127.0.0.1', port: 22 }

interface Wanted {
  readonly refuse?: string
  /** ENGINE_ERROR where absent. */
  readonly code?: FailureCode
  readonly hang?: string
  readonly start?: SessionStart
  readonly shell?: string
  readonly forced?: string
  readonly maxTime?: number
}

function world(wanted: Wanted = {}) {
  const calls: string[] = []
  const times: string[] = []
  let output: OutputSink | undefined
  const told: string[] = []
  const lines: Record<string, unknown>[] = []
  const log = pino({}, { write: (line) => void lines.push(JSON.parse(line)) })
  const events: SessionEvent[] = []
  const said = logEvents(log)
  const emit = (event: SessionEvent | PolicyEvent | ContainerEvent) => {
    if ('session' in event || 'failure' in event) events.push(event)
    said(event)
  }
  const closed = new AbortController()
  const ended = deferred<ExitStatus>()
  const started = deferred()
  const { exec } = fakeExec()

  /** Notes the call; then it refuses, hangs, or is as always. */
  function now<T>(step: string, result: T): T {
    calls.push(step)
    if (step === wanted.refuse) throw new HatchwayError(wanted.code ?? 'ENGINE_ERROR', 'engine said no')
    return result
  }
  async function step<T>(name: string, result: T, signal?: AbortSignal): Promise<T> {
    now(name, result)
    if (name !== wanted.hang) return result
    return new Promise((_, reject) => {
      if (signal) onAbort(signal, reject)
    })
  }

  const info = { ...dev, shell: wanted.shell ?? dev.shell }
  const decide = async ({ action, user, container }: Request) => {
    const forced = action.kind === 'exec' ? ` ${action.command}` : ''
    const entry = action.kind === 'enter' ? ` ${container.name}${user ? ` as ${user.name}` : ''}` : ''
    const name = `may ${action.kind}${forced}${entry}`
    calls.push(name)
    return name === wanted.refuse
      ? ({ allowed: false, by: 'rule 1', reason: 'rules said no' } as const)
      : ({ allowed: true, by: 'rule 1', readOnly: false } as const)
  }
  const policy = {
    decide,
    today: async (identity: Identity) => {
      calls.push('today')
      const command = wanted.forced
      const restrictions = { ...identity.restrictions, ...(command !== undefined && { command }) }
      return wanted.refuse === 'today' ? undefined : { ...identity, restrictions }
    },
    hold: (requests: readonly Request[]) =>
      now(`hold ${requests.map(({ action }) => action.kind)}`, () => void calls.push('release')),
    use() {},
    review: async () => 0,
    forget() {},
  }
  const containers = {
    async resolve(_name: string, mayEnter: (it: Container) => Promise<boolean>, signal: AbortSignal) {
      await step('resolve', undefined, signal)
      if (!(await mayEnter(web))) throw notFound('web', [])
      return web
    },
    envInfo: () => step('passwd', info),
  } as unknown as Containers
  const starter: Starter = {
    running: (container, _entrance, signal) => step('bring up', container, signal),
    canStart: () => true,
    close() {},
  }
  const registry = new SessionRegistry()
  const open: SessionRegistry['open'] = (...given) => {
    const record = registry.open(...given)
    const { running, end } = record
    record.running = () => {
      calls.push('running')
      running.call(record)
    }
    record.end = (how) => {
      calls.push('stopped')
      end.call(record, how)
    }
    return record
  }
  const guest = {
    async spawn(_spec, sink, signal) {
      output = sink
      await step('start', undefined, wanted.hang === 'start' ? undefined : signal)
      return running
    },
  } as Partial<Guest> as Guest
  const running: GuestExec = {
    ...exec,
    exit: ended.promise,
    onUnread() {},
    close() {
      calls.push('close')
      ended.resolve({ code: 129 })
    },
  }
  if (wanted.hang === 'start') {
    guest.spawn = async () => {
      calls.push('start')
      await started.promise
      return running
    }
  }

  let earlier: Promise<void> | undefined
  const session: SshSession = {
    start: wanted.start ?? { kind: 'shell' },
    pty: { term: 'xterm', cols: 80, rows: 24, width: 0, height: 0, modes: Buffer.alloc(0) },
    agentForwarding: false,
    env: new Map(),
    stdin: Readable.from([]),
    closed: closed.signal,
    get earlier() {
      earlier ??= step('earlier', undefined)
      return earlier
    },
    accept: () => now('accept', undefined),
    reject: () => now('reject', undefined),
    listen: () => now('listen', undefined),
    pour: () => now('pour', { resume() {}, stop() {} }),
    stopReading() {},
    write: (_fd, chunk) => told.push(chunk.toString()) > 0,
    exit: async (status) => now(`exit ${'code' in status ? status.code : status.signal}`, undefined),
  }

  const who = { identity: anna, origin: { connectionId: '1', login: 'dev@web', remote: here } }
  const connectionClosed = new AbortController().signal
  const destinations = createDestinations({
    containers,
    starter,
    made: undefined,
    policy: decide,
    hostSuffixes: [],
    led: () => {},
    emit,
  })
  const destination = destinations.open(who, connectionClosed, async () => {})
  const gate = createGate(policy, who, destination.now, connectionClosed, emit)
  const places = {
    whose: { ...annas, connectionId: '1' },
    connection: { id: '1', identity: anna, user: 'dev@web', remote: here, local: here },
    destination,
    gate: { ...gate, sift: (...asked: Parameters<typeof gate.sift>) => step('sift', asked[0]) },
    inward: { environment: () => step('inward', []) },
    guestFor: (_target: unknown, signal: AbortSignal) => step('helper', guest, signal),
    space: new Budgets(1).enter('anna').budget,
    log,
    failed() {},
  }
  const dependencies = {
    emit,
    road: {} as PlainRoad,
    policy,
    registry: {
      open: (...asked: Parameters<SessionRegistry['open']>) => now('registry', { open }).open(...asked),
    },
    environment: () => now('env', {}),
    killTree: () => false,
    unrestrictedShells: () => ['bash'],
    logCommands: false,
    pickLines: false,
    tapFiles: () => undefined,
    limits: () => ({
      sessionMaxTime: wanted.maxTime ?? 0,
      sessionIdleTimeout: 0,
      sessionTimeoutWarning: 0,
      maxSessionsPerIdentity: 0,
    }),
    motd: () => step('motd', Buffer.from('welcome\r\n')),
    answer: async () => {},
    times: {
      resolved: (kind: string) => void times.push(`${kind} resolved`),
      responded: (kind: string, road: string) => void times.push(`${kind} on the ${road} road`),
    },
  }
  const served = serveSession(session, places, dependencies)
  return {
    times,
    say: (text: string) => output?.write(1, Buffer.from(text)),
    calls,
    told,
    lines,
    events,
    closed,
    ended,
    started,
    registry,
    served,
  }
}

/** All up to this step, and it. */
const upTo = (step: string) => STEPS.slice(0, STEPS.indexOf(step) + 1)
/** What a failure does after that step: the end of what has begun, and nothing else. */
const undone = (step: string) => [
  ...(STEPS.indexOf(step) > STEPS.indexOf('registry') ? ['stopped'] : []),
  'exit 255',
  ...(STEPS.indexOf(step) > STEPS.indexOf('hold shell,pty') ? ['release'] : []),
]
/** Every promise goes as far as it can. */
const settle = () => vi.advanceTimersByTimeAsync(0)

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

test('a session, call by call', async () => {
  const { calls, told, ended, served } = world()
  await settle()
  expect(calls).toEqual(upTo('pour'))
  ended.resolve({ code: 0 })
  await served
  expect(calls.filter((call) => call !== 'close')).toEqual(STEPS)
  expect(told).toEqual(['welcome\r\n'])
  expect(vi.getTimerCount()).toBe(0)
})

test.each(REFUSABLE)('refused at "%s", nothing after it is asked or done', async (step, why) => {
  const { calls, told, served, registry } = world({ refuse: step })
  await served
  expect(calls).toEqual([...upTo(step), ...undone(step)])
  expect(told.at(-1)).toContain(why)
  expect(registry.size).toBe(0)
  expect(vi.getTimerCount()).toBe(0)
})

test('how long it took is told: when its container was found, and at the first byte of its program alone', async () => {
  const { times, say, ended, served } = world()
  await settle()
  expect(times).toEqual(['shell resolved'])
  say('$ ')
  say('more')
  expect(times).toEqual(['shell resolved', 'shell on the guest road'])
  ended.resolve({ code: 0 })
  await served
  expect(times).toHaveLength(2)
})

test('an account whose shell refuses gets nothing made for it: no helper, no variable is looked at', async () => {
  const { calls, told, served } = world({ shell: '/usr/sbin/nologin' })
  await served
  expect(calls).toEqual([...upTo('hold shell,pty'), 'stopped', 'exit 1', 'release'])
  expect(told).toEqual(['\r\nThis account is currently not available.\r\n'])
})

test('of a forced command the rules are asked, not of what the client sent', async () => {
  const { calls } = world({ start: { kind: 'exec', command: Buffer.from('rm -r /') }, forced: 'uptime' })
  await settle()
  expect(calls).toContain('may exec uptime')
  expect(calls.join()).not.toContain('rm -r')
})

test('a motd that cannot be read keeps nobody out', async () => {
  const { calls, told } = world({ refuse: 'motd' })
  await settle()
  expect(calls).toEqual(upTo('pour'))
  expect(told).toEqual([])
})

describe.each(HANGING)('while "%s" hangs', (step) => {
  test('the limit of a start ends it, and not before', async () => {
    const { calls, told, served, started } = world({ hang: step })
    await vi.advanceTimersByTimeAsync(59_999)
    expect(calls).toEqual(upTo(step))
    await vi.advanceTimersByTimeAsync(1)
    if (step === 'start') started.resolve()
    await served
    expect(calls.filter((call) => !['close', 'pour'].includes(call))).toEqual([...upTo(step), ...undone(step)])
    expect(told.at(-1)).toContain('took too long to start the session')
    expect(vi.getTimerCount()).toBe(0)
  })

  test.each([
    ['its client leaves', 'the client went away'],
    ['an administrator ends it', 'session ended by the administrator'],
  ])('%s', async (_what, why) => {
    const { calls, told, served, closed, registry, started } = world({ hang: step })
    await settle()
    const [live] = registry.list()
    if (why.startsWith('session')) registry.kill(live?.id ?? '')
    else closed.abort()
    // A program that starts all the same is closed, and never ran.
    if (step === 'start') started.resolve()
    await served
    expect(calls.filter((call) => !['close', 'pour'].includes(call))).toEqual([...upTo(step), ...undone(step)])
    expect(calls.includes('close')).toBe(step === 'start')
    expect(told.at(-1)).toContain(why)
    expect(vi.getTimerCount()).toBe(0)
  })
})

test('once the program runs the limit of a start is lifted, and the limit of a session begins', async () => {
  const { calls, told, started, served } = world({ hang: 'start', maxTime: 120_000 })
  await vi.advanceTimersByTimeAsync(50_000)
  started.resolve()
  await vi.advanceTimersByTimeAsync(119_999)
  expect(calls).toEqual(upTo('pour'))
  await vi.advanceTimersByTimeAsync(1)
  await served
  expect(calls.slice(STEPS.indexOf('pour') + 1)).toEqual(['close', 'close', 'stopped', 'exit 255', 'release'])
  expect(told.at(-1)).toContain('session ended: it lasted 2 minutes')
})

describe('what the log says of a session that failed', () => {
  test('its start, where its program ran or was about to', async () => {
    const { lines, registry, served } = world()
    await settle()
    registry.kill(registry.list()[0]?.id ?? '')
    await served
    expect(lines).toMatchObject([
      { msg: 'session started', start: 'shell' },
      { code: 'SESSION_KILLED', start: 'shell' },
    ])
    const failed = world({ refuse: 'start' })
    await failed.served
    expect(failed.lines.at(-1)).toMatchObject({ code: 'ENGINE_ERROR', start: 'shell' })
  })

  test.each([
    ['before it', { refuse: 'helper' }],
    ['when it asked for more', { refuse: 'start', code: 'NOT_PERMITTED' }],
  ] as const)('no start, where it was refused %s', async (_when, wanted) => {
    const { lines, served } = world(wanted)
    await served
    expect(lines.at(-1)).toMatchObject({ msg: 'engine said no' })
    expect(lines.at(-1)).not.toHaveProperty('start')
  })
})

describe('an event of a session', () => {
  const whole = {
    whose: { connectionId: '1', login: 'dev@web', remote: here, identity: { name: 'anna', fingerprint: 'SHA256:x' } },
    session: { container: { id: 'c0ffee', name: 'web', image: 'busybox' }, user: 'dev' },
  }

  test('can be read alone: whose it is, in which container and as whom, at its start and its end', async () => {
    const { events, ended, served } = world()
    await settle()
    ended.resolve({ code: 3 })
    await served
    expect(events).toMatchObject([
      { type: 'session-started', start: 'shell', road: 'guest', ...whole },
      { type: 'session-ended', status: { code: 3 }, ...whole },
    ])
    expect(events[1]).toHaveProperty('session.stoppedAt')
  })

  test('of one that was refused has why, and no session where it was none yet', async () => {
    const refused = world({ refuse: 'may shell' })
    await refused.served
    expect(refused.events).toMatchObject([
      { type: 'session-failed', whose: whole.whose, failure: { code: 'NOT_PERMITTED' }, ran: {} },
    ])
    expect(refused.events[0]).not.toHaveProperty('session')
    const failed = world({ refuse: 'start' })
    await failed.served
    expect(failed.events).toMatchObject([{ type: 'session-failed', ran: { start: 'shell' }, ...whole }])
  })
})
