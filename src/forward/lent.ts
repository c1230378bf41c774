/** What a client lends to programs inside for as long as its connection lasts, as its agent: a listener and who uses it. */
import type { GuestListener } from '../guest/guest.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import type { Inlet } from './join.ts'

export interface Lent {
  /** Resolves when nobody can connect any more, and nobody is connected. */
  readonly over: Promise<void>
  /** Nobody can connect any more, and who is connected loses it. */
  withdraw(): void
}

/** The listener's end comes with the connection's, also when that has come already. */
export function lend(closed: AbortSignal, listener: GuestListener, inlet: Inlet): Lent {
  const stay = onAbort(closed, () => void listener.close())
  void listener.ended.then(stay)
  return {
    over: inlet.over(listener),
    withdraw() {
      void listener.close()
      inlet.destroy()
    },
  }
}
