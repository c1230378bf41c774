/** Runs code when a signal aborts. The only place that listens to an AbortSignal by hand. */
import { setMaxListeners } from 'node:events'

/**
 * Calls `listener` once with the signal's reason: when the signal aborts, or at once if it has aborted already. A
 * listener that is added by hand after the abort is never called, and what it should have ended goes on (a kill was lost
 * that way).
 *
 * @returns a function that removes the listener; idempotent
 */
export function onAbort(signal: AbortSignal, listener: (reason: unknown) => void): () => void {
  if (signal.aborted) {
    listener(signal.reason)
    return () => {}
  }
  const aborted = () => listener(signal.reason)
  // A connection has as many listeners as sessions and forwards, and node warns of a leak at the eleventh.
  setMaxListeners(0, signal)
  signal.addEventListener('abort', aborted, { once: true })
  return () => signal.removeEventListener('abort', aborted)
}

/** Waits for `promise`, but no longer than the signal allows. The work behind the promise goes on, for others. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const remove = onAbort(signal, reject)
    promise.then(resolve, reject).finally(remove)
  })
}
