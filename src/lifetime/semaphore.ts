/** Lets a few in at once; the others wait their turn, in the order they came, as long as their signal lets them. */
import { onAbort } from './on-abort.ts'

export interface SemaphoreLimits {
  readonly atOnce: number
  /** How many may wait; one more is refused. Absent: any number. */
  readonly waiting?: number
}

export interface Semaphore {
  /**
   * Resolves with how to leave (idempotent).
   * @throws the signal's reason, or an Error where too many wait
   */
  enter(signal: AbortSignal): Promise<() => void>
  /** Nobody is in it and nobody waits. */
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
  /** As Semaphore's, among those of the same key. */
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
