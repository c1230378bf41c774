/** What came from inside the container, joined to channels towards the client. */
import { type End, type InsideEnd, relay } from '../bytes/relay.ts'
import type { GuestListener } from '../guest/guest.ts'
import { deferred } from '../lifetime/deferred.ts'
import type { ForwardBook, ForwardFacts } from './book.ts'

/** The connections of one listener inside. They may outlast it, and are to be withdrawn as it is. */
export interface Inlet {
  /** `inside` was accepted; `channel` asks the client for one. */
  join(inside: InsideEnd, channel: () => Promise<End>): void
  /** Breaks those that there are, and any that was accepted before the listener heard of its end. */
  destroy(): void
  /** Resolves when the listener has ended and no connection is left. */
  over(listener: Pick<GuestListener, 'ended'>): Promise<void>
}

/** @param facts of the listener, as they are when a connection comes */
export function createInlet(book: ForwardBook, facts: () => ForwardFacts): Inlet {
  const ends = new Set<End>()
  const last = deferred()
  let isClosed = false
  let isDestroyed = false
  const settle = () => {
    if (isClosed && ends.size === 0) last.resolve()
  }
  async function permitted(channel: () => Promise<End>): Promise<End> {
    book.demand(facts())
    return channel()
  }

  return {
    join(inside, channel) {
      ends.add(inside)
      let told = () => {}
      inside.whenClosed(() => {
        ends.delete(inside)
        told()
        settle()
      })
      permitted(channel).then(
        (taken) => {
          if (ends.has(inside)) told = book.opened(facts(), inside.traffic)
          relay(inside, taken)
        },
        () => inside.destroy(),
      )
      if (isDestroyed) inside.destroy()
    },
    destroy() {
      isDestroyed = true
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
