/** Many sources' events as one stream; what nobody has read yet waits. */
import { deferred } from '../../lifetime/deferred.ts'
import { onAbort } from '../../lifetime/on-abort.ts'

export interface EventQueue<T> {
  push(event: T): void
  /** Ends when the signal aborts. */
  events(): AsyncGenerator<T>
}

export function createEventQueue<T>(signal: AbortSignal): EventQueue<T> {
  let waiting: T[] = []
  let more = deferred()
  onAbort(signal, () => more.resolve())
  return {
    push(event) {
      waiting.push(event)
      more.resolve()
    },
    async *events() {
      while (!signal.aborted) {
        await more.promise
        if (signal.aborted) return
        more = deferred()
        const now = waiting
        waiting = []
        for (const event of now) yield event
      }
    },
  }
}
