/** `picker.again`: what a round leaves to the next, and what ends them all. The engine and the sessions' programs are fakes. */
import { getEventListeners } from 'node:events'
import { PassThrough } from 'node:stream'
import pino from 'pino'
import { expect, test } from 'vitest'
import { HatchwayError } from '../../src/base/errors.ts'
import type { ExitStatus } from '../../src/base/program.ts'
import type { Inward } from '../../src/forward/inward.ts'
import type { PickerEntry } from '../../src/picker/entry.ts'
import { serveRounds } from '../../src/session/rounds.ts'
import type { SessionDependencies, SessionPlaces } from '../../src/session/serve.ts'
import type { InputSink, SessionEvents, SshSession } from '../../src/ssh/session.ts'
import { anna } from '../support/people-and-places.ts'
import { until } from '../support/wait.ts'

const web: PickerEntry = {
  ref: 'web',
  name: 'web',
  compose: '',
  status: 'Up',
  image: 'busybox',
  state: 'running',
  running: true,
}

/** A session on a dumb terminal; each round's `enter` fails as `failures` say, in turn. */
function world(failures: readonly HatchwayError[], pauseMs = 50) {
  const stdin = new PassThrough()
  const closed = new AbortController()
  const told: string[] = []
  const exits: ExitStatus[] = []
  const destinations: number[] = []
  const failed: string[] = []
  const session: SshSession = {
    start: { kind: 'shell' },
    pty: { term: 'dumb', cols: 80, rows: 24, width: 0, height: 0, modes: Buffer.alloc(0) },
    agentForwarding: false,
    env: new Map(),
    stdin,
    closed: closed.signal,
    accept() {},
    reject() {},
    listen(_events: SessionEvents | undefined) {},
    pour: (_sink: InputSink) => ({ resume() {}, stop() {} }),
    stopReading() {},
    write: (_fd, chunk) => told.push(chunk.toString()) > 0,
    async exit(status) {
      exits.push(status)
      closed.abort()
    },
  }
  const rest = [...failures]
  const ends: AbortSignal[] = []
  const inwards: AbortSignal[] = []
  /** What each round left: was the one before over, and what listens to the channel's end? */
  const left: (readonly [boolean | undefined, number])[] = []
  const places = (end: AbortSignal = closed.signal): SessionPlaces => {
    left.push([inwards.at(-1)?.aborted, getEventListeners(closed.signal, 'abort').length])
    ends.push(end)
    destinations.push(destinations.length)
    return {
      connection: { id: '1', identity: anna },
      destination: {
        unknown: async () => ({ entries: async () => [web], unanswered: async () => [], choose: async () => {} }),
        enter: async () => {
          throw rest.shift() ?? new HatchwayError('CONTAINER_GONE', 'gone')
        },
      },
      gate: {},
      log: pino({ enabled: false }),
      failed: ({ code }: HatchwayError) => void failed.push(code),
    } as unknown as SessionPlaces
  }
  const deps = {
    policy: { today: async () => anna },
    pickLines: true,
    limits: () => ({ sessionMaxTime: 0, sessionIdleTimeout: 0, sessionTimeoutWarning: 0 }),
    emit: () => {},
  } as unknown as SessionDependencies
  const inwardUntil = (end: AbortSignal) => {
    inwards.push(end)
    return {} as Inward
  }
  const served = serveRounds(session, { first: places(), anew: places, inwardUntil }, deps, pauseMs)
  return { stdin, told, exits, destinations, failed, closed, ends, inwards, left, served }
}

test('a container that fails is told, and the next is asked for, at a destination of its own', async () => {
  const { stdin, told, exits, destinations, served } = world([
    new HatchwayError('CONTAINER_NOT_RUNNING', 'container web is paused'),
    new HatchwayError('NOT_PERMITTED', 'not for you'),
  ])
  stdin.write('1\rweb\r')
  stdin.end('\x03')
  await served
  const screen = told.join('')
  expect(screen).toMatch(/container web is paused[\s\S]*number or name: [\s\S]*not for you[\s\S]*number or name: /)
  expect(destinations).toHaveLength(3)
  // Nothing ran inside: it is as if the picker had been left at once, but the last failure is what there is to say.
  expect(exits).toEqual([{ code: 255 }])
})

test.each(['LOGIN_REFUSED', 'SESSION_KILLED', 'SESSION_EXPIRED', 'TOO_MANY_SESSIONS', 'CONTAINER_CHANGED'] as const)(
  '%s ends them all, and the connection learns of it',
  async (code) => {
    const { stdin, exits, destinations, failed, served } = world([new HatchwayError(code, 'over')])
    stdin.write('1\r1\r')
    await served
    const exit = code === 'LOGIN_REFUSED' ? 1 : 255
    expect([destinations.length, exits, failed]).toEqual([1, [{ code: exit }], [code]])
  },
)

test('who leaves at once has 130', async () => {
  const { stdin, exits, failed, served } = world([])
  stdin.write('\x03')
  await served
  expect([exits, failed]).toEqual([[{ code: 130 }], []])
})

test('what a round has ends with it, and leaves nothing on the channel', async () => {
  const gone = () => new HatchwayError('CONTAINER_GONE', 'gone')
  const { stdin, ends, inwards, left, served, closed } = world([gone(), gone(), gone()])
  stdin.write('1\r1\r1\r\x03')
  await served
  // One listener: the new round's own.
  expect(left.slice(1)).toEqual([
    [true, 1],
    [true, 1],
    [true, 1],
  ])
  expect(ends).toEqual([closed.signal, ...inwards.slice(1)])
  expect(new Set(inwards).size).toBe(4)
  expect(getEventListeners(closed.signal, 'abort')).toEqual([])
})

test('after a failure it waits a while, but not for a client that has gone', async () => {
  const gone = () => new HatchwayError('CONTAINER_GONE', 'gone')
  const began = performance.now()
  const { stdin, destinations, served } = world([gone(), gone()])
  stdin.write('1\r1\r\x03')
  await served
  expect(performance.now() - began).toBeGreaterThan(95)
  const other = world([gone()], 60_000)
  other.stdin.write('1\r')
  await until('the round has failed', () => other.told.join('').includes('gone'), 2000, 5)
  other.closed.abort()
  await other.served
  expect([destinations.length, other.destinations.length]).toEqual([3, 2])
})
