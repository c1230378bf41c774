/**
 * Copies of the helper that are made before it is known who will run them: the engine takes as long to read passwd out
 * of a container as to put a file into it, and does both at once.
 */
import type { Placed } from './copy.ts'

/** A login that is granted asks for its first session within this, or never. */
const UNCLAIMED_MS = 20_000

export interface Ahead {
  /** Nothing when one is under way for this run of a container. */
  begin(run: string, place: () => Promise<Placed>): void
  /** The caller's now, to run and to remove. */
  take(run: string): Promise<Placed> | undefined
  /** Removes what nobody took. */
  close(): Promise<void>
}

export function createAhead(): Ahead {
  const waiting = new Map<string, { readonly placed: Promise<Placed>; readonly timer: NodeJS.Timeout }>()

  function take(run: string): Promise<Placed> | undefined {
    const found = waiting.get(run)
    clearTimeout(found?.timer)
    waiting.delete(run)
    return found?.placed
  }

  async function discard(run: string): Promise<void> {
    // What failed has removed itself; what cannot be removed is in the journal.
    await take(run)
      ?.then((placed) => placed.remove())
      .catch(() => {})
  }

  return {
    begin(run, place) {
      if (waiting.has(run)) return
      const placed = place()
      placed.catch(() => {})
      const timer = setTimeout(() => void discard(run), UNCLAIMED_MS)
      timer.unref()
      waiting.set(run, { placed, timer })
    },
    take,
    async close() {
      await Promise.all([...waiting.keys()].map(discard))
    },
  }
}
