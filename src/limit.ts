/** A signal with a time limit. */

/**
 * Aborts with the first of `signals`, or with a TimeoutError after `milliseconds`. Not AbortSignal.any() over
 * AbortSignal.timeout(): node 20 holds the sources of any() weakly, so a garbage collection takes the timeout away and
 * the wait never ends (measured on 20.20: test/limit.test.ts); and each any() leaves an entry in a long-lived signal.
 */
export function within(milliseconds: number, ...signals: readonly AbortSignal[]): AbortSignal {
  const controller = new AbortController()
  const timer = setTimeout(
    () => end(new DOMException(`timeout: nothing within ${milliseconds} ms`, 'TimeoutError')),
    milliseconds,
  ).unref()
  const listeners = signals.map((signal) => ({ signal, aborted: () => end(signal.reason) }))

  function end(reason: unknown): void {
    clearTimeout(timer)
    for (const { signal, aborted } of listeners) signal.removeEventListener('abort', aborted)
    controller.abort(reason)
  }

  for (const { signal, aborted } of listeners) {
    if (signal.aborted) {
      end(signal.reason)
      break
    }
    signal.addEventListener('abort', aborted, { once: true })
  }
  return controller.signal
}
