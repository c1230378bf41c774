import { describe, expect, it } from 'vitest'
import { createEventBus, type GatewayEvent } from '../../src/observe/events.ts'

const event: GatewayEvent = { type: 'draining', sessions: 1 }

describe('the event stream', () => {
  it('keeps a broken listener from the emitter and from other listeners', () => {
    const errors: unknown[] = []
    const seen: string[] = []
    const bus = createEventBus((error) => {
      errors.push(error)
      throw new Error('the reporter is broken as well')
    })
    bus.listen(() => {
      throw new Error('broken')
    })
    bus.listen(({ type }) => seen.push(type))
    bus.emit(event)
    expect(seen).toEqual(['draining'])
    expect(errors).toEqual([new Error('broken')])
  })

  it('stops when asked, even in the midst of an event', () => {
    const bus = createEventBus(() => undefined)
    const seen: number[] = []
    const stop = bus.listen(() => {
      seen.push(1)
      stop()
    })
    bus.listen(() => seen.push(2))
    bus.emit(event)
    bus.emit(event)
    expect(seen).toEqual([1, 2, 2])
  })
})
