/** Signals with a time limit. */

/**
 * Aborts with the first of `signals`, or with a TimeoutError after `milliseconds`. Not AbortSignal.any() over
 * AbortSignal.timeout(): node 20 holds the sources of any() weakly, so a garbage collection takes the timeout away and
 * the wait never ends (measured on 20.20: test/limit.test.ts); and each any() leaves an entry in a long-lived signal.
 */
export function within(milliseconds: number, ...signals: readonly AbortSignal[]): AbortSignal {
  return limited(milliseconds, ...signals).signal
}

export interface Limit {
  readonly signal: AbortSignal
  /** The wait is over: nothing is left on the sources, which may live much longer. */
  release(): void
}

/** The same for what happens often on one long-lived source: ten thousand forwards of one connection. */
export function limited(milliseconds: number, ...signals: readonly AbortSignal[]): Limit {
  const controller = new AbortController()
  const timer = setTimeout(
    () => end(new DOMException(`timeout: nothing within ${milliseconds} ms`, 'TimeoutError')),
    milliseconds,
  ).unref()
  const listeners = signals.map((signal) => ({ signal, aborted: () => end(signal.reason) }))

  function release(): void {
    clearTimeout(timer)
    for (const { signal, aborted } of listeners) signal.removeEventListener('abort', aborted)
  }

  function end(reason: unknown): void {
    release()
    controller.abort(reason)
  }

  for (const { signal, aborted } of listeners) {
    if (signal.aborted) {
      end(signal.reason)
      break
    }
    signal.addEventListener('abort', aborted, { once: true })
  }
  return { signal: controller.signal, release }
}

/** The same around one piece of work, with the limit released at its end. */
export async function withLimit<T>(
  milliseconds: number,
  signals: readonly AbortSignal[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { signal, release } = limited(milliseconds, ...signals)
  try {
    return await work(signal)
  } finally {
    release()
  }
}

/** Waits no longer than the signal lets it; what is waited for goes on, for others. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = () => reject(signal.reason)
    if (signal.aborted) return aborted()
    signal.addEventListener('abort', aborted, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted))
  })
}
