/** At most so many program starts under way in one container: more than 16 at once hang containerd's shim. */
export interface StartGate {
  /** Waits for a place; the returned function gives it back and is idempotent. */
  enter(containerId: string, signal: AbortSignal): Promise<() => void>
}

interface Room {
  inside: number
  readonly waiting: (() => void)[]
}

export function createStartGate(limit: number): StartGate {
  const rooms = new Map<string, Room>()

  function leave(id: string, room: Room): () => void {
    let left = false
    return () => {
      if (left) return
      left = true
      const next = room.waiting.shift()
      if (next !== undefined) return next()
      room.inside--
      if (room.inside === 0) rooms.delete(id)
    }
  }

  return {
    async enter(id, signal) {
      signal.throwIfAborted()
      const room = rooms.get(id) ?? { inside: 0, waiting: [] }
      rooms.set(id, room)
      if (room.inside < limit) {
        room.inside++
        return leave(id, room)
      }
      await new Promise<void>((resolve, reject) => {
        const aborted = () => {
          room.waiting.splice(room.waiting.indexOf(admit), 1)
          reject(signal.reason)
        }
        const admit = () => {
          signal.removeEventListener('abort', aborted)
          resolve()
        }
        signal.addEventListener('abort', aborted, { once: true })
        room.waiting.push(admit)
      })
      return leave(id, room)
    },
  }
}
