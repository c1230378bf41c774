/** Work in rounds that never overlap: the next round begins `milliseconds` after the one before has ended. */
export interface Rounds {
  /** Stops the rounds, and aborts the signal of the one under way. Resolves when it has ended. Idempotent. */
  stop(): Promise<void>
}

/**
 * @param work one round; its signal aborts when the rounds are stopped
 * @param failed is called with what a round threw; the rounds go on
 */
export function every(
  milliseconds: number,
  work: (signal: AbortSignal) => Promise<unknown> | unknown,
  failed: (error: unknown) => void,
): Rounds {
  const stopped = new AbortController()
  let round: Promise<void> = Promise.resolve()
  let timer: NodeJS.Timeout | undefined

  async function once(): Promise<void> {
    try {
      await work(stopped.signal)
    } catch (error) {
      if (!stopped.signal.aborted) failed(error)
    }
    next()
  }

  function next(): void {
    if (stopped.signal.aborted) return
    timer = setTimeout(() => {
      round = once()
    }, milliseconds).unref()
  }

  next()
  return {
    stop() {
      stopped.abort()
      clearTimeout(timer)
      return round
    },
  }
}
