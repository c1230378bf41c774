/**
 * Signals with a time limit. Not AbortSignal.any() over AbortSignal.timeout(): node 20 holds the sources of any() weakly,
 * so a garbage collection takes the timeout away and the wait never ends (measured on 20.20: test/lifetime/deadline.test.ts);
 * and each any() leaves an entry in a long-lived signal.
 */
import { onAbort } from './on-abort.ts'

/**
 * Milliseconds, which end in a TimeoutError; or with a reason of their own, if somebody will read it: the wait rejects
 * with it, and its caller cannot tell any more whose limit it was.
 */
export type Limit = number | { readonly ms: number; readonly reason: () => unknown }

/** Aborts with the reason of the first of `signals` that does, or with the limit's own when that has passed. */
export function deadline(limit: Limit, ...signals: readonly AbortSignal[]): AbortSignal {
  return openDeadline(limit, ...signals).signal
}

/** Aborts with the reason of the first of `signals` that does. */
export function anyOf(...signals: readonly AbortSignal[]): AbortSignal {
  return joined(signals, undefined).signal
}

export interface Deadline {
  readonly signal: AbortSignal
  /** The wait is over: the timer is gone, and nothing is left on the sources, which may live much longer. Idempotent. */
  release(): void
}

/** A deadline that its caller releases: for many waits on one long-lived signal, as ten thousand forwards have. */
export function openDeadline(limit: Limit, ...signals: readonly AbortSignal[]): Deadline {
  return joined(signals, limit)
}

/** Runs `work` with a deadline, which is released at its end. */
export async function withDeadline<T>(
  limit: Limit,
  signals: readonly AbortSignal[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { signal, release } = openDeadline(limit, ...signals)
  try {
    return await work(signal)
  } finally {
    release()
  }
}

/**
 * Runs work that may take any time while it makes progress: its signal aborts if `limit` passes without a call of
 * `heard`.
 */
export async function whileHeard<T>(
  limit: Limit,
  signals: readonly AbortSignal[],
  work: (signal: AbortSignal, heard: () => void) => Promise<T>,
): Promise<T> {
  const { signal, release, restart } = joined(signals, limit)
  try {
    return await work(signal, restart)
  } finally {
    release()
  }
}

/** Returns whether a limit without a reason of its own ended the wait. */
export function isTimeout(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === 'TimeoutError'
}

function joined(signals: readonly AbortSignal[], limit: Limit | undefined): Deadline & { restart(): void } {
  const controller = new AbortController()
  const removals: (() => void)[] = []
  let timer: NodeJS.Timeout | undefined
  let over = false

  function release(): void {
    over = true
    clearTimeout(timer)
    for (const remove of removals) remove()
  }

  function end(reason: unknown): void {
    release()
    controller.abort(reason)
  }

  for (const signal of signals) {
    if (controller.signal.aborted) break
    removals.push(onAbort(signal, end))
  }
  if (controller.signal.aborted) release()
  else if (limit !== undefined) {
    const { ms, reason } = typeof limit === 'number' ? plain(limit) : limit
    timer = setTimeout(() => end(reason()), ms).unref()
  }
  // A timer that was cleared must not be refreshed: that would set it again.
  const restart = () => {
    if (!over) timer?.refresh()
  }
  return { signal: controller.signal, release, restart }
}

function plain(ms: number): Exclude<Limit, number> {
  return { ms, reason: () => new DOMException(`timeout: nothing within ${ms} ms`, 'TimeoutError') }
}
