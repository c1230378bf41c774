/** What came from inside the container, joined to channels towards the client. */
import { type End, relay } from '../bytes/relay.ts'
import type { GuestListener } from '../guest/guest.ts'
import { deferred } from '../lifetime/deferred.ts'

/** The connections of one listener inside. They may outlast it, and are to be withdrawn as it is. */
export interface Inlet {
  /** `inside` was accepted; `channel` is the client's, if it takes it. */
  join(inside: End, channel: Promise<End>): void
  /** Breaks those that there are. */
  destroy(): void
  /** Resolves when the listener has ended and no connection is left. */
  over(listener: Pick<GuestListener, 'ended'>): Promise<void>
}

export function createInlet(): Inlet {
  const ends = new Set<End>()
  const last = deferred()
  let isClosed = false
  const settle = () => {
    if (isClosed && ends.size === 0) last.resolve()
  }
  return {
    join(inside, channel) {
      ends.add(inside)
      inside.whenClosed(() => {
        ends.delete(inside)
        settle()
      })
      void joinInward(inside, channel)
    },
    destroy() {
      for (const end of ends) end.destroy()
    },
    async over(listener) {
      await listener.ended
      isClosed = true
      settle()
      await last.promise
    },
  }
}

async function joinInward(inside: End, channel: Promise<End>): Promise<void> {
  try {
    relay(inside, await channel)
  } catch {
    inside.destroy()
  }
}
