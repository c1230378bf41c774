/** What containerd publishes, and a stream that breaks; on a server that says exactly that. */
import { expect, test } from 'vitest'
import { HatchwayError } from '../../../src/base/errors.ts'
import type { ContainerdApi } from '../../../src/engine/containerd/api.ts'
import { containerdEvents } from '../../../src/engine/containerd/events.ts'
import { decodeMessage, encodeMessage } from '../../../src/engine/containerd/protobuf.ts'
import type { EngineEvent } from '../../../src/engine/engine.ts'

const envelope = (topic: string, fields: Parameters<typeof encodeMessage>[0], namespace = 'lab') =>
  decodeMessage(encodeMessage({ 2: namespace, 3: topic, 4: encodeMessage({ 1: 'x', 2: encodeMessage(fields) }) }))
const UNREACHABLE = new HatchwayError('ENGINE_UNAVAILABLE', 'gone')

/** Each subscription tells its events and then ends so. */
function api(...subscriptions: (readonly [events: ReturnType<typeof envelope>[], end: 'end' | 'away' | 'stays'])[]) {
  let ended = 0
  let asked: unknown
  let current: (typeof subscriptions)[number] | undefined
  async function* told(signal: AbortSignal) {
    const [events, end] = current ?? [[], 'stays']
    try {
      yield* events
      if (end === 'away') throw UNREACHABLE
      if (end === 'stays') await new Promise((resolve) => signal.addEventListener('abort', resolve))
    } finally {
      ended++
    }
  }
  const fake: ContainerdApi = {
    socket: '/none',
    namespace: 'lab',
    async call() {
      if (current?.[1] === 'away') throw UNREACHABLE
      return decodeMessage(Buffer.alloc(0))
    },
    stream(_method, fields, signal) {
      asked = fields
      current = subscriptions.shift()
      return told(signal)
    },
    close() {},
  }
  return { fake, ended: () => ended, asked: () => asked }
}

async function take(fake: ContainerdApi, count: number): Promise<EngineEvent[]> {
  const seen: EngineEvent[] = []
  for await (const event of containerdEvents(fake, AbortSignal.timeout(10_000))) {
    seen.push(event)
    if (seen.length === count) break
  }
  return seen
}

test('tells of containers in this namespace, in Docker’s words, and of no exec', async () => {
  const events = [
    envelope('/tasks/start', { 1: 'web', 2: 7 }),
    envelope('/tasks/exec-started', { 1: 'web', 2: 'exec' }),
    envelope('/tasks/exit', { 1: 'web', 2: 'exec', 3: 9 }),
    envelope('/tasks/exit', { 1: 'other', 2: 'other' }, 'foreign'),
    envelope('/images/create', { 1: 'image' }),
    envelope('/tasks/paused', { 1: 'web' }),
    envelope('/tasks/resumed', { 1: 'web' }),
    envelope('/tasks/oom', { 1: 'web' }),
    envelope('/tasks/exit', { 1: 'web', 2: 'web', 3: 7 }),
    envelope('/containers/update', { 1: 'web' }),
    envelope('/containers/delete', { 1: 'web' }),
  ]
  const { fake, asked } = api([events, 'stays'])
  const actions = (await take(fake, 7)).map((event) =>
    event.type === 'container' ? `${event.action} ${event.id}` : event.type,
  )
  expect(actions).toEqual(['start web', 'pause web', 'unpause web', 'oom web', 'die web', 'update web', 'destroy web'])
  expect(asked()).toEqual({ 1: ['namespace==lab'] })
})

test('a stream that ends is one that came back; an engine that is away is told of once', async () => {
  const start = envelope('/tasks/start', { 1: 'web' })
  const { fake } = api([[start], 'end'], [[start], 'end'], [[], 'away'], [[], 'away'], [[start], 'stays'])
  const seen = (await take(fake, 6)).map(({ type }) => type)
  expect(seen).toEqual(['container', 'reconnected', 'container', 'lost', 'reconnected', 'container'])
})

test('who stops listening ends the subscription', async () => {
  const { fake, ended } = api([[envelope('/tasks/start', { 1: 'web' })], 'stays'])
  await take(fake, 1)
  await expect.poll(ended).toBe(1)
})
