import { expect, test } from 'vitest'
import { createEventStream } from '../../src/observe/event-stream.ts'
import type { GatewayEvent } from '../../src/observe/events.ts'

const gateway = { id: 'g1', process: 'p1', host: 'here' }
const draining = { type: 'draining', sessions: 1, graceMs: 0, signal: 'SIGTERM' } as const

function world() {
  const complaints: unknown[] = []
  const stream = createEventStream(
    gateway,
    () => 'unix:///e',
    (error) => void complaints.push(error),
  )
  return { ...stream, complaints }
}

test('each reader is given each event, in order, with when, by which gateway and on which engine', () => {
  const { emit, join } = world()
  const first: GatewayEvent[] = []
  const second: GatewayEvent[] = []
  join((event) => void first.push(event))
  emit(draining)
  join((event) => void second.push(event))
  emit({ type: 'gateway-ended' })
  expect(first.map(({ type }) => type)).toEqual(['draining', 'gateway-ended'])
  expect(second.map(({ type }) => type)).toEqual(['gateway-ended'])
  expect(first[0]).toMatchObject({ ...draining, gateway, engine: 'unix:///e' })
  expect(Math.abs(Date.now() - (first[0]?.at ?? 0))).toBeLessThan(60_000)
})

test('a reader that throws keeps the event from nobody, and not from itself the next time', () => {
  const { emit, join, complaints } = world()
  const broken = new Error('broken')
  const seen: string[] = []
  join(({ type }) => {
    seen.push(`first ${type}`)
    if (type === 'draining') throw broken
  })
  join(({ type }) => void seen.push(`second ${type}`))
  emit(draining)
  emit({ type: 'gateway-ended' })
  expect(seen).toEqual(['first draining', 'second draining', 'first gateway-ended', 'second gateway-ended'])
  expect(complaints).toEqual([broken])
})

test('a reader that leaves, in the middle of an event or twice, takes no other along; one function may join twice', () => {
  const { emit, join } = world()
  const seen: string[] = []
  const leave = join(() => {
    leave()
    leave()
    seen.push('first')
  })
  const twice = () => void seen.push('twice')
  const leaveTwice = join(twice)
  join(twice)
  emit(draining)
  leaveTwice()
  emit(draining)
  expect(seen).toEqual(['first', 'twice', 'twice', 'twice'])
})
