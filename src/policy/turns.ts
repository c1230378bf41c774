/**
 * Questions to somebody else by turns, a few at once for each identity and some dozens in all: a client chooses how many
 * there are, and nobody is to wait for what another asks.
 */
import { createTurnstile, type Turnstile } from '../auth/turnstile.ts'
import { withDeadline } from '../lifetime/deadline.ts'

const EACH = { atOnce: 4, waiting: 256 }
/** Of each identity at most those wait here. */
const ALL = { atOnce: 32, waiting: 4096 }
const WAIT_LIMIT = 60_000

interface Own {
  readonly turnstile: Turnstile
  here: number
}

export type Turns = <T>(name: string, work: () => Promise<T>) => Promise<T>

/** Rejects when too many wait, or for too long. */
export function createTurns(): Turns {
  const all = createTurnstile(ALL)
  // Only who asks is kept.
  const each = new Map<string, Own>()

  async function through<T>(turnstile: Turnstile, work: () => Promise<T>): Promise<T> {
    const leave = await withDeadline(WAIT_LIMIT, [], (limit) => turnstile.enter(limit))
    try {
      return await work()
    } finally {
      leave()
    }
  }

  return async (name, work) => {
    const own = each.get(name) ?? { turnstile: createTurnstile(EACH), here: 0 }
    each.set(name, own)
    own.here++
    try {
      return await through(own.turnstile, () => through(all, work))
    } finally {
      own.here--
      if (own.here === 0) each.delete(name)
    }
  }
}
