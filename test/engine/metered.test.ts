import { expect, test } from 'vitest'
import { HatchwayError } from '../../src/base/errors.ts'
import type { Engine, Lifecycle } from '../../src/engine/engine.ts'
import { createMeteredEngine, ENGINE_CALLS } from '../../src/engine/metered.ts'

const soon = () => AbortSignal.timeout(10_000)

function fake(kind: string, own: Partial<Engine> = {}): Engine {
  const none = async () => {
    throw new Error('not asked in this test')
  }
  return {
    kind,
    endpoint: `fake ${kind}`,
    info: async () => ({ product: kind, version: '1', arch: 'x64', local: true }),
    list: async () => [],
    inspect: none,
    exec: none,
    async *events() {},
    close: async () => {},
    ...own,
  }
}

function metered(engine: Engine) {
  const calls: string[] = []
  const open = new Set<string>()
  const meter = createMeteredEngine(engine, (kind, call) => {
    open.add(call)
    return (outcome) => {
      open.delete(call)
      calls.push(`${kind} ${call} ${outcome}`)
    }
  })
  return { meter, calls, open }
}

test('each call is told with its engine, and what became of it', async () => {
  const { meter, calls, open } = metered(
    fake('docker', {
      inspect: async () => {
        throw new HatchwayError('CONTAINER_NOT_FOUND', 'none')
      },
      copies: {
        copyOut: () => {
          throw new TypeError('at once')
        },
      } as unknown as NonNullable<Engine['copies']>,
      list: (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    }),
  )
  expect(await meter.info(soon())).toMatchObject({ product: 'docker' })
  await expect(meter.inspect('web', soon())).rejects.toThrow('none')
  await expect(meter.copies?.copyOut('web', '/', 1, soon())).rejects.toThrow('at once')
  const gone = new AbortController()
  const listing = meter.list(gone.signal)
  expect([...open]).toEqual(['list'])
  gone.abort(new Error('the client went'))
  await expect(listing).rejects.toThrow('the client went')
  const limit = new AbortController()
  const slow = meter.list(limit.signal)
  limit.abort(new HatchwayError('ENGINE_TIMEOUT', 'too slow'))
  await expect(slow).rejects.toThrow('too slow')
  expect(calls).toEqual([
    'docker info ok',
    'docker inspect CONTAINER_NOT_FOUND',
    'docker copies.copyOut INTERNAL',
    'docker list aborted',
    'docker list ENGINE_TIMEOUT',
  ])
  expect(open.size).toBe(0)
})

test('all else is the engine’s own: names, events, what it lacks', async () => {
  const engine = fake('cli')
  const { meter, calls } = metered(engine)
  expect([meter.kind, meter.endpoint, meter.copies, meter.lifecycle]).toEqual(['cli', 'fake cli', undefined, undefined])
  expect('copies' in meter).toBe(false)
  for await (const _ of meter.events(soon())) throw new Error('no event')
  await meter.close()
  expect(calls).toEqual([])
})

test('calls of lifecycle go to the engine they were taken from, and are told as its own', async () => {
  const made: string[] = []
  const lifecycle = (of: string) =>
    ({ create: async () => `${made.push(of)}`, logs: async () => 'text' }) as unknown as Lifecycle
  const [first, second] = [lifecycle('first'), lifecycle('second')]
  let current = first
  const { meter, calls } = metered({
    ...fake('docker'),
    get lifecycle() {
      return current
    },
  })
  const early = meter.lifecycle
  expect(meter.lifecycle).toBe(early)
  current = second
  const spec = {} as Parameters<Lifecycle['create']>[0]
  await meter.lifecycle?.create(spec, soon())
  await early?.create(spec, soon())
  expect(made).toEqual(['second', 'first'])
  expect(calls).toEqual(['docker lifecycle.create ok', 'docker lifecycle.create ok'])
})

test('one of several engines is metered by its name', async () => {
  const told: string[] = []
  const meter = createMeteredEngine(
    fake('docker'),
    (engine, call) => (outcome) => told.push([engine, call, outcome].join(' ')),
    'east',
  )
  await meter.list(soon())
  expect(told).toEqual(['east list ok'])
})

test('the list of calls has each once', () => {
  expect(new Set(ENGINE_CALLS).size).toBe(ENGINE_CALLS.length)
  expect(ENGINE_CALLS).toContain('lifecycle.othersInside')
})
