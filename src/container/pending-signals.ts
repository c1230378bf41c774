/**
 * Signals of one session, where each costs an exec: one is under way at a time, and of those that wait each is there once,
 * as the kernel keeps them. A client's thousand signals are a few execs.
 */
const MAX_WAITING = 16

export interface PendingSignals {
  /** False: too many others wait. */
  add(name: string): boolean
  /** What waits is not sent any more. */
  clear(): void
}

/** `send` does not reject. */
export function pendingSignals(send: (name: string) => Promise<void>): PendingSignals {
  const waiting = new Set<string>()
  let sending = false

  async function sendAll(): Promise<void> {
    sending = true
    for (const name of waiting) {
      waiting.delete(name)
      await send(name)
    }
    sending = false
  }

  return {
    add(name) {
      if (waiting.size >= MAX_WAITING) return waiting.has(name)
      waiting.add(name)
      if (!sending) void sendAll()
      return true
    },
    clear: () => waiting.clear(),
  }
}
