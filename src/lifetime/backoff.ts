/** Pauses between attempts at something that keeps failing: none before the first, then each twice as long as the last. */
import { setTimeout as delay } from 'node:timers/promises'

export interface BackoffLimits {
  readonly firstMs: number
  readonly longestMs: number
  /** An attempt this long after the one before is a first one again. */
  readonly calmMs: number
}

export interface Backoff {
  /** Call it before every attempt. @throws the signal's reason */
  pause(signal: AbortSignal): Promise<void>
}

export function createBackoff({ firstMs, longestMs, calmMs }: BackoffLimits): Backoff {
  let next = 0
  let last = Number.NEGATIVE_INFINITY
  return {
    async pause(signal) {
      if (performance.now() - last >= calmMs) next = 0
      if (next > 0) await delay(next, undefined, { signal }).catch(() => {})
      signal.throwIfAborted()
      next = next === 0 ? firstMs : Math.min(next * 2, longestMs)
      last = performance.now()
    },
  }
}
