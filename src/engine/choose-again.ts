/**
 * The engine of a gateway for which none was named, and which started before the likeliest one was up: that one is looked
 * for, and takes the place of the other as soon as it answers. What runs in the other runs on.
 */
import { anyOf, withDeadline } from '../lifetime/deadline.ts'
import { every } from '../lifetime/every.ts'
import type { Engine, EngineEvent } from './engine.ts'

const LOOK_EVERY_MS = 2_000
const ANSWER_MS = 5_000

/** @param better resolves with a likelier engine that answers, if there is one by now */
export function createChangingEngine(
  first: Engine,
  better: (limit: AbortSignal) => Promise<Engine | undefined>,
): Engine {
  const all = [first]
  let current = first

  /** A better engine is looked for as long as somebody follows the events: they tell that everything is another. */
  async function* events(signal: AbortSignal): AsyncGenerator<EngineEvent> {
    while (!signal.aborted) {
      const change = new AbortController()
      const look = async (stopped: AbortSignal) => {
        const found = await withDeadline(ANSWER_MS, [signal, stopped], better)
        if (found === undefined) return
        all.push(found)
        current = found
        change.abort()
      }
      const rounds = every(LOOK_EVERY_MS, look, () => {})
      try {
        yield* current.events(anyOf(signal, change.signal))
      } finally {
        await rounds.stop()
      }
      // Ended otherwise, the engine was closed.
      if (signal.aborted || !change.signal.aborted) return
      yield { type: 'reconnected' }
    }
  }

  const own: Partial<Engine> = {
    events,
    async close() {
      for (const engine of all) await engine.close()
    },
  }
  // Everything else is asked of the engine of the moment.
  return new Proxy(first, {
    get: (_, key) => Reflect.get(Object.hasOwn(own, key) ? own : current, key),
    has: (_, key) => Reflect.has(current, key),
  })
}
