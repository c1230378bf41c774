/** What a disk does not take is tried again until it does. */
import { setTimeout as delay } from 'node:timers/promises'

export interface Patience {
  readonly retryMs: number
  /** Called with what keeps it from being written, once, and with undefined when that is over. */
  readonly failing: (error: unknown) => void
}

/** @param work may be called again where it threw. @throws the signal's reason */
export async function untilWritten<T>(work: () => Promise<T>, patience: Patience, signal: AbortSignal): Promise<T> {
  for (let isFailing = false; ; isFailing = true) {
    signal.throwIfAborted()
    try {
      const done = await work()
      if (isFailing) patience.failing(undefined)
      return done
    } catch (error) {
      if (!isFailing) patience.failing(error)
      await delay(patience.retryMs, undefined, { signal }).catch(() => signal.throwIfAborted())
    }
  }
}
