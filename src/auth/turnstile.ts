/** Lets a few in at once; the others wait their turn, as long as they are there. */

export interface Turnstile {
  /** Resolves with how to leave (idempotent). @throws the signal's reason, or when too many wait */
  enter(signal: AbortSignal): Promise<() => void>
}

export function createTurnstile(limits: { readonly atOnce: number; readonly waiting: number }): Turnstile {
  const queue = new Set<() => void>()
  let inside = 0

  function admit(): () => void {
    inside++
    let gone = false
    return () => {
      if (gone) return
      gone = true
      inside--
      const [first] = queue
      first?.()
    }
  }

  return {
    enter(signal) {
      if (signal.aborted) return Promise.reject(signal.reason)
      if (inside < limits.atOnce) return Promise.resolve(admit())
      if (queue.size >= limits.waiting) return Promise.reject(new Error('too many wait for their turn'))
      return new Promise((resolve, reject) => {
        const leaveQueue = () => {
          queue.delete(called)
          signal.removeEventListener('abort', aborted)
        }
        const called = () => {
          leaveQueue()
          resolve(admit())
        }
        const aborted = () => {
          leaveQueue()
          reject(signal.reason)
        }
        queue.add(called)
        signal.addEventListener('abort', aborted, { once: true })
      })
    },
  }
}
