/** -R whose listener goes: it is opened again at the same place, or its connection ends with a sentence. */
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { afterEach, expect, test } from 'vitest'
import { HatchwayError } from '../../src/base/errors.ts'
import type { Target } from '../../src/container/containers.ts'
import { type RemoteForwardDependencies, remoteForwards } from '../../src/forward/remote.ts'
import type { GuestConnection } from '../../src/guest/connection.ts'
import { FRAME_TYPE } from '../../src/guest/frames.ts'
import type { ForwardBind } from '../../src/ssh/connection.ts'
import { FakeHelper, u32 } from '../guest/fake-helper.ts'
import { FakeEnd } from '../support/fake-end.ts'
import { annas } from '../support/people-and-places.ts'
import { until } from '../support/wait.ts'

const LIMITS = { listenMs: 5000, reopenMs: 10_000, firstPauseMs: 5, longestPauseMs: 20, calmMs: 60_000 }
/** Where the limit is what the test waits for. */
const SOON = { ...LIMITS, reopenMs: 300 }
const ANY: ForwardBind = { kind: 'tcp', host: 'localhost', port: 0 }
const SOCKET: ForwardBind = { kind: 'unix', path: '/tmp/forward.sock' }
const [EADDRINUSE, ECONNREFUSED, LISTEN_STAGE, CONNECT_STAGE] = [98, 111, 5, 4]

const failed = (errno: number, stage: number) => Buffer.concat([u32(errno), Buffer.of(stage)])

const guests: GuestConnection[] = []
afterEach(() => {
  for (const guest of guests.splice(0)) guest.close()
})

/** A connection with one helper after the other. `again` is asked for the container each time one was lost. */
async function world(again: RemoteForwardDependencies['again'] = async (_action, lost) => lost, limits = LIMITS) {
  const closed = new AbortController()
  const target = { container: { name: 'web' }, info: {} } as Target
  const seen = {
    helpers: [] as FakeHelper[],
    /** What was said to the client at its end. */
    ended: [] as string[],
    asked: [] as unknown[],
    /** What the book was told. */
    told: [] as string[],
    held: 0,
    /** The client's, of what was accepted inside. */
    channels: [] as FakeEnd[],
    withdraw: () => {},
    /** Throws where no connection may begin. */
    demand: () => {},
  }
  let guest: Promise<GuestConnection> | undefined
  async function helper(): Promise<GuestConnection> {
    const next = new FakeHelper()
    seen.helpers.push(next)
    const connected = await next.connect()
    guests.push(connected)
    connected.ended.addEventListener('abort', () => {
      guest = undefined
    })
    return connected
  }
  const handlers = remoteForwards({
    connection: {
      closed: closed.signal,
      async openForwarded() {
        const channel = new FakeEnd()
        seen.channels.push(channel)
        return channel
      },
      disconnect(message) {
        seen.ended.push(message)
        closed.abort()
      },
    },
    log: pino({ enabled: false }),
    whose: annas,
    emit: () => {},
    book: {
      demand: () => seen.demand(),
      opened({ place }, traffic) {
        seen.told.push(`opened ${place}`)
        return () => seen.told.push(`ended ${place} ${traffic.bytesIn} ${traffic.bytesOut}`)
      },
      listening({ place }) {
        seen.told.push(`listens on ${place}`)
        return () => seen.told.push(`listens no more on ${place}`)
      },
    },
    enter: async () => ({ target }),
    again(action, lost, signal) {
      seen.asked.push(action)
      return again(action, lost, signal)
    },
    binds: { gatewayPorts: 'no', streamLocalBindUnlink: false, streamLocalBindMask: 0o177 },
    guestFor: async () => {
      guest ??= helper()
      return guest
    },
    hold: (_actions, _target, end) => {
      seen.held++
      seen.withdraw = end
      return () => seen.held--
    },
    limits,
  })

  /** The helper's answer to the LISTEN it gets: the port it was asked for, or 4000 for any. */
  async function listens(number = 0, skip = 0): Promise<{ port: number; channel: number }> {
    const helper = await until('there is a helper', () => seen.helpers[number])
    const { channel, payload } = await helper.frame(FRAME_TYPE.LISTEN, undefined, skip)
    const port = payload.readUInt16BE(1)
    helper.send(FRAME_TYPE.OPENED, channel, u32(port || 4000, 0))
    return { port, channel }
  }
  async function forwarded(bind: ForwardBind): Promise<number | undefined> {
    const before = seen.helpers[0]?.count(FRAME_TYPE.LISTEN)
    const forwarding = handlers.forward(bind)
    await listens(0, before)
    return forwarding
  }
  const dies = (number = 0) => seen.helpers[number]?.exits({ code: 137 })
  return { handlers, seen, closed, listens, forwarded, dies }
}

const refuse = (code: 'CONTAINER_NOT_FOUND' | 'CONTAINER_NOT_RUNNING' | 'NOT_PERMITTED', message: string) => () =>
  Promise.reject(new HatchwayError(code, message))

test('a helper that goes alone: at once at the port that the client was told, and the policy is asked the same again', async () => {
  const { seen, forwarded, listens, dies, handlers } = await world()
  expect(await forwarded(ANY)).toBe(4000)
  dies()
  expect(await listens(1)).toMatchObject({ port: 4000 })
  await until('it is held again', () => seen.held === 1, 5000, 5)
  expect(seen.asked).toEqual([{ kind: 'forward-remote', host: 'localhost', port: 0, bound: 'localhost' }])
  // As often as it happens.
  dies(1)
  expect(await listens(2)).toMatchObject({ port: 4000 })
  expect(seen.ended).toEqual([])
  const cancelling = handlers.cancelForward({ ...ANY, port: 4000 })
  const { channel } = (await seen.helpers[2]?.frame(FRAME_TYPE.CLOSE)) ?? {}
  seen.helpers[2]?.send(FRAME_TYPE.CLOSED, channel ?? 0)
  expect(await cancelling).toBe(true)
  expect(seen.held).toBe(0)
})

test('two listeners of one connection both come back', async () => {
  const { seen, forwarded, dies } = await world()
  await forwarded(ANY)
  await forwarded({ kind: 'tcp', host: 'localhost', port: 4001 })
  dies()
  await until('there is another helper', () => seen.helpers[1])
  const ports = [
    await seen.helpers[1]?.frame(FRAME_TYPE.LISTEN),
    await seen.helpers[1]?.frame(FRAME_TYPE.LISTEN, undefined, 1),
  ]
  expect(ports.map((frame) => frame?.payload.readUInt16BE(1)).sort()).toEqual([4000, 4001])
})

test('a container that comes back within the limit is waited for', async () => {
  let asked = 0
  const { seen, forwarded, listens, dies } = await world(async (_action, lost) => {
    if (asked++ < 3) throw new HatchwayError('CONTAINER_NOT_RUNNING', 'container web is stopped')
    return lost
  })
  await forwarded(ANY)
  dies()
  expect(await listens(1)).toMatchObject({ port: 4000 })
  expect(asked).toBe(4)
  expect(seen.ended).toEqual([])
})

test.each([
  ['was removed', refuse('CONTAINER_NOT_FOUND', 'no container "web"'), 'container web was removed', 1],
  ['may not be entered any more', refuse('NOT_PERMITTED', 'you may not forward there'), 'you may not forward there', 1],
  ['stays stopped', refuse('CONTAINER_NOT_RUNNING', 'container web is stopped'), 'container web is stopped', 2],
  [
    'is of an engine that hangs',
    (_: unknown, __: unknown, signal: AbortSignal) => aborted(signal),
    'the container engine does not answer',
    1,
  ],
] as const)('a container that %s ends the connection with a sentence', async (_name, again, why, attempts) => {
  const { seen, forwarded, dies, handlers } = await world(again, SOON)
  await forwarded(ANY)
  dies()
  await until('the connection is ended', () => seen.ended.length > 0)
  expect(seen.ended).toEqual([`hatchway: remote forward localhost:4000 ended: ${why}`])
  if (attempts === 1) expect(seen.asked).toHaveLength(1)
  else expect(seen.asked.length).toBeGreaterThan(1)
  expect(seen.held).toBe(0)
  expect(await handlers.cancelForward({ ...ANY, port: 4000 })).toBe(false)
})

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
}

test('a port that somebody else has taken meanwhile ends it', async () => {
  const { seen, forwarded, dies } = await world(undefined, SOON)
  await forwarded(ANY)
  dies()
  const helper = await until('there is another helper', () => seen.helpers[1])
  void (async () => {
    for (let i = 0; seen.ended.length === 0; i++) {
      const frame = await helper.frame(FRAME_TYPE.LISTEN, undefined, i).catch(() => undefined)
      if (frame) helper.send(FRAME_TYPE.FAIL, frame.channel, failed(EADDRINUSE, LISTEN_STAGE))
    }
  })()
  await until('the connection is ended', () => seen.ended.length > 0)
  expect(seen.ended[0]).toBe('hatchway: remote forward localhost:4000 ended: it cannot listen there again (EADDRINUSE)')
})

test.each([
  ['cancelled', (world: World) => world.handlers.cancelForward({ ...ANY, port: 4000 })],
  ['withdrawn', async (world: World) => world.seen.withdraw()],
  ['whose connection goes', async (world: World) => world.closed.abort()],
] as const)(
  'a forward that is %s while its container is away is over, and nothing is ended by it',
  async (_name, end) => {
    const away = await world(refuse('CONTAINER_NOT_RUNNING', 'container web is stopped'), SOON)
    await away.forwarded(ANY)
    away.dies()
    await until('it is asked again', () => away.seen.asked.length > 1)
    expect(await end(away)).not.toBe(false)
    const { length } = away.seen.asked
    await delay(SOON.reopenMs + 50)
    expect(away.seen.asked.length).toBeLessThanOrEqual(length + 1)
    expect(away.seen.ended).toEqual([])
    expect(away.seen.helpers).toHaveLength(1)
  },
)
type World = Awaited<ReturnType<typeof world>>

test('what was withdrawn is not opened again', async () => {
  const { seen, forwarded } = await world()
  await forwarded(ANY)
  seen.withdraw()
  const { channel } = (await seen.helpers[0]?.frame(FRAME_TYPE.CLOSE)) ?? {}
  seen.helpers[0]?.send(FRAME_TYPE.CLOSED, channel ?? 0)
  await delay(50)
  expect(seen.asked).toEqual([])
  expect(seen.ended).toEqual([])
})

test('a helper that is killed again and again is not started as fast as it dies', async () => {
  const { seen, forwarded, listens, dies } = await world()
  await forwarded(ANY)
  const began = performance.now()
  for (let i = 0; i < 8; i++) {
    dies(i)
    await listens(i + 1)
    await until('it is held again', () => seen.held === 1, 5000, 5)
  }
  // 0 + 5 + 10 + 20 + 20 ...
  expect(performance.now() - began).toBeGreaterThan(100)
})

test('the file of a unix socket that was left behind goes where nobody listens on it', async () => {
  const { seen, forwarded, dies } = await world()
  await forwarded(SOCKET)
  dies()
  const helper = await until('there is another helper', () => seen.helpers[1])
  const first = await helper.frame(FRAME_TYPE.LISTEN)
  expect(first.payload.at(-1)).toBe(0)
  helper.send(FRAME_TYPE.FAIL, first.channel, failed(EADDRINUSE, LISTEN_STAGE))
  const connect = await helper.frame(FRAME_TYPE.CONNECT)
  helper.send(FRAME_TYPE.FAIL, connect.channel, failed(ECONNREFUSED, CONNECT_STAGE))
  const second = await helper.frame(FRAME_TYPE.LISTEN, undefined, 1)
  // Unlink first.
  expect(second.payload.at(-1)).toBe(1)
  helper.send(FRAME_TYPE.OPENED, second.channel, u32(0, 0))
  await until('it is held again', () => seen.held === 1, 5000, 5)
  expect(seen.ended).toEqual([])
})

test('the file of a unix socket on which somebody listens stays', async () => {
  const { seen, forwarded, dies } = await world()
  await forwarded(SOCKET)
  dies()
  const helper = await until('there is another helper', () => seen.helpers[1])
  for (let i = 0; i < 2; i++) {
    const listen = await helper.frame(FRAME_TYPE.LISTEN, undefined, i)
    expect(listen.payload.at(-1)).toBe(0)
    helper.send(FRAME_TYPE.FAIL, listen.channel, failed(EADDRINUSE, LISTEN_STAGE))
    const connect = await helper.frame(FRAME_TYPE.CONNECT, undefined, i)
    helper.send(FRAME_TYPE.OPENED, connect.channel, u32(0, 1000))
  }
})

test('what a listener accepted outlasts its end, and is held until it is over or withdrawn', async () => {
  const { seen, forwarded, handlers } = await world()
  const port = { ...ANY, port: 4000 }
  for (const end of ['over', 'withdrawn'] as const) {
    const { length } = seen.channels
    await forwarded(ANY)
    const helper = seen.helpers[0]
    if (!helper) throw new Error('no helper')
    const { channel } = await helper.frame(FRAME_TYPE.LISTEN, undefined, length)
    const accepted = 0x8000_0001 + length
    helper.accepts(accepted, channel)
    const towards = await until('the client has it', () => seen.channels[length])
    const cancelling = handlers.cancelForward(port)
    await helper.frame(FRAME_TYPE.CLOSE, channel)
    helper.send(FRAME_TYPE.CLOSED, channel)
    expect(await cancelling).toBe(true)
    await delay(10)
    expect(seen.held).toBe(1)
    expect(towards.done).toEqual([])
    if (end === 'over') helper.send(FRAME_TYPE.CLOSED, accepted)
    else seen.withdraw()
    await until('the client loses it', () => towards.done.includes('destroy'), 2000, 5)
    if (end === 'withdrawn') await helper.frame(FRAME_TYPE.CLOSE, accepted)
    await until('it is let go', () => seen.held === 0, 2000, 5)
    // By the port that its client was told, not the 0 that it asked for.
    const told = ['listens on', 'opened', 'listens no more on'].map((what) => `${what} localhost:4000`)
    expect(seen.told.splice(0)).toEqual([...told, 'ended localhost:4000 0 0'])
  }
})

test('a connection to a listener that may not go on is closed, its client hears nothing of it, and the next one may', async () => {
  const { seen, forwarded } = await world()
  await forwarded(ANY)
  const [helper] = seen.helpers
  if (!helper) throw new Error('no helper')
  const { channel } = await helper.frame(FRAME_TYPE.LISTEN)
  seen.demand = () => {
    throw new HatchwayError('AUDIT_UNAVAILABLE', 'nothing may go unrecorded')
  }
  helper.accepts(0x8000_0001, channel)
  await helper.frame(FRAME_TYPE.CLOSE, 0x8000_0001)
  expect(seen.channels).toEqual([])
  seen.demand = () => {}
  helper.accepts(0x8000_0002, channel)
  await until('the client has it', () => seen.channels[0])
  expect(seen.told).toEqual(['listens on localhost:4000', 'opened localhost:4000'])
})
