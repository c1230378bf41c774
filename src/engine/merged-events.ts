/** The events of several engines, or of one engine and what else is to be told, as one stream. */

import { anyOf } from '../lifetime/deadline.ts'
import { type Deferred, deferred } from '../lifetime/deferred.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import type { EngineEvent } from './engine.ts'

/** Told faster than they are read: then it is enough that everything must be asked anew. */
const MAX_WAITING = 1000

/** Gives events to `tell` until the signal aborts, or it has no more. */
export type EventSource = (tell: (event: EngineEvent) => void, signal: AbortSignal) => Promise<void>

/** Ends when the signal aborts or all sources have ended; one that throws ends all. */
export async function* mergedEvents(sources: readonly EventSource[], signal: AbortSignal): AsyncGenerator<EngineEvent> {
  const over = new AbortController()
  const both = anyOf(signal, over.signal)
  let waiting: EngineEvent[] = []
  let more: Deferred<void> = deferred()
  let running = sources.length
  let failure: { readonly error: unknown } | undefined
  const tell = (event: EngineEvent) => {
    waiting = waiting.length < MAX_WAITING ? [...waiting, event] : [{ type: 'reconnected' }]
    more.resolve()
  }
  const remove = onAbort(signal, () => more.resolve())
  const ended = sources.map((source) =>
    source(tell, both)
      .catch((error: unknown) => {
        if (!both.aborted) failure ??= { error }
      })
      .finally(() => {
        running -= 1
        more.resolve()
      }),
  )
  try {
    while (!signal.aborted) {
      const events = waiting
      waiting = []
      if (events.length === 0) {
        if (failure !== undefined) throw failure.error
        if (running === 0) return
        await more.promise
        more = deferred()
        continue
      }
      for (const event of events) yield event
    }
  } finally {
    remove()
    over.abort(new Error('nobody follows the events any more'))
    await Promise.all(ended)
  }
}
