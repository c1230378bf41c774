/** Lets a few callers in at once; the others wait in the order they came, until their signal aborts. */
import { onAbort } from './on-abort.ts'

export interface SemaphoreLimits {
  readonly atOnce: number
  /** How many may wait; one more is refused. Absent: any number. */
  readonly waiting?: number
}

export interface Semaphore {
  /**
   * Resolves with a function that leaves (idempotent).
   * @throws the signal's reason, or an Error if too many wait
   */
  enter(signal: AbortSignal): Promise<() => void>
  readonly waiting: number
  /** True if nobody is in it and nobody waits. */
  readonly idle: boolean
}

export function createSemaphore({ atOnce, waiting = Number.POSITIVE_INFINITY }: SemaphoreLimits): Semaphore {
  const queue = new Set<() => void>()
  let inside = 0

  function admit(): () => void {
    inside++
    let left = false
    return () => {
      if (left) return
      left = true
      inside--
      const [first] = queue
      first?.()
    }
  }

  return {
    get waiting() {
      return queue.size
    },
    get idle() {
      return inside === 0 && queue.size === 0
    },
    async enter(signal) {
      signal.throwIfAborted()
      if (inside < atOnce) return admit()
      if (queue.size >= waiting) throw new Error('too many wait for their turn')
      return new Promise((resolve, reject) => {
        const called = () => {
          queue.delete(called)
          remove()
          resolve(admit())
        }
        queue.add(called)
        const remove = onAbort(signal, (reason) => {
          queue.delete(called)
          reject(reason)
        })
      })
    },
  }
}

export interface KeyedSemaphore {
  /** As Semaphore.enter(), among callers with the same key. */
  enter(key: string, signal: AbortSignal): Promise<() => void>
}

/** A semaphore for each key; a key that nobody uses takes no memory. */
export function createKeyedSemaphore(limits: SemaphoreLimits): KeyedSemaphore {
  const each = new Map<string, Semaphore>()
  return {
    async enter(key, signal) {
      const own = each.get(key) ?? createSemaphore(limits)
      each.set(key, own)
      const forgetIdle = () => {
        if (own.idle && each.get(key) === own) each.delete(key)
      }
      try {
        const leave = await own.enter(signal)
        return () => {
          leave()
          forgetIdle()
        }
      } catch (error) {
        forgetIdle()
        throw error
      }
    },
  }
}
