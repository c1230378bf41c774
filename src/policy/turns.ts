/**
 * Questions to somebody else by turns, a few at once for each identity and some dozens in all: a client chooses how many
 * there are, and nobody is to wait for what another asks.
 */
import { withDeadline } from '../lifetime/deadline.ts'
import { createKeyedSemaphore, createSemaphore } from '../lifetime/semaphore.ts'

const EACH = { atOnce: 4, waiting: 256 }
/** Of each identity at most those wait here. */
const ALL = { atOnce: 32, waiting: 4096 }
const WAIT_LIMIT_MS = 60_000

export type Turns = <T>(name: string, work: () => Promise<T>) => Promise<T>

/** Rejects when too many wait, or for too long. */
export function createTurns(): Turns {
  const [all, each] = [createSemaphore(ALL), createKeyedSemaphore(EACH)]
  return async (name, work) => {
    const leaveOwn = await withDeadline(WAIT_LIMIT_MS, [], (limit) => each.enter(name, limit))
    try {
      const leave = await withDeadline(WAIT_LIMIT_MS, [], (limit) => all.enter(limit))
      try {
        return await work()
      } finally {
        leave()
      }
    } finally {
      leaveOwn()
    }
  }
}
