/**
 * Signals with a time limit. Not AbortSignal.any() over AbortSignal.timeout(): node 20 holds the sources of any() weakly,
 * so a garbage collection takes the timeout away and the wait never ends (measured on 20.20: test/lifetime/deadline.test.ts);
 * and each any() leaves an entry in a long-lived signal.
 */
import { onAbort } from './on-abort.ts'

/** Aborts with the reason of the first of `signals` that does, or with a TimeoutError after `milliseconds`. */
export function deadline(milliseconds: number, ...signals: readonly AbortSignal[]): AbortSignal {
  return openDeadline(milliseconds, ...signals).signal
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

/** A deadline that its caller releases. For what happens often on one long-lived source: ten thousand forwards of one connection. */
export function openDeadline(milliseconds: number, ...signals: readonly AbortSignal[]): Deadline {
  return joined(signals, milliseconds)
}

/** One piece of work with a deadline, which is released at the work's end. */
export async function withDeadline<T>(
  milliseconds: number,
  signals: readonly AbortSignal[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { signal, release } = openDeadline(milliseconds, ...signals)
  try {
    return await work(signal)
  } finally {
    release()
  }
}

/** The deadline of `deadline` and `withDeadline` has passed, and nothing else ended the wait. */
export function isTimeout(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === 'TimeoutError'
}

function joined(signals: readonly AbortSignal[], milliseconds: number | undefined): Deadline {
  const controller = new AbortController()
  const removals: (() => void)[] = []
  let timer: NodeJS.Timeout | undefined

  function release(): void {
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
  else if (milliseconds !== undefined) {
    const passed = () => end(new DOMException(`timeout: nothing within ${milliseconds} ms`, 'TimeoutError'))
    timer = setTimeout(passed, milliseconds).unref()
  }
  return { signal: controller.signal, release }
}
