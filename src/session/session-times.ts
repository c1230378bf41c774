/** How long sessions let their people wait. */
import type { SessionStart } from '../ssh/session.ts'
import type { Counters } from './pump.ts'

/** Takes milliseconds, from when a session's container was asked for. */
export interface SessionTimes {
  /** Container and user were found, are permitted and run. */
  resolved(kind: SessionStart['kind'], milliseconds: number): void
  /** The program wrote its first byte. */
  responded(kind: SessionStart['kind'], road: 'guest' | 'plain', milliseconds: number): void
}

/** Counters that tell of the first byte out, and are then what they were: there may be millions after it. */
export function tellingFirst(counters: Counters, first: () => void): Counters {
  const telling: Counters = {
    addIn: counters.addIn,
    addOut(bytes) {
      telling.addOut = counters.addOut
      first()
      counters.addOut(bytes)
    },
  }
  return telling
}
