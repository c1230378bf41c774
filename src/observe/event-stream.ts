/**
 * Joins sources of events to their readers. There is no queue: one event costs one object, and what a reader cannot do at
 * once it must note for itself, within a bound of its own.
 */
import type { EmitEvent, EventReader, EventStamp, GatewayName } from './events.ts'

export interface EventStream {
  readonly emit: EmitEvent
  /** From the next event on. Returns how to leave (idempotent). */
  join(reader: EventReader): () => void
}

/** @param complain takes what a reader threw: that must harm neither the others nor whoever tells of the event */
export function createEventStream(
  gateway: GatewayName,
  engine: () => string,
  complain: (error: unknown) => void,
): EventStream {
  let readers: readonly EventReader[] = []
  return {
    emit(event) {
      const stamp: EventStamp = { at: Date.now(), gateway, engine: engine() }
      const stamped = { ...event, ...stamp }
      for (const reader of readers) {
        try {
          reader(stamped)
        } catch (error) {
          complain(error)
        }
      }
    },
    join(reader) {
      // A list of its own: a reader may join or leave in the middle of an event.
      const own: EventReader = (event) => reader(event)
      readers = [...readers, own]
      return () => {
        readers = readers.filter((other) => other !== own)
      }
    },
  }
}
