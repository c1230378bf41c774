/** What a client lends to programs inside for as long as its connection lasts, as its agent: a listener and who uses it. */
import type { Target } from '../container/containers.ts'
import type { Guest, GuestListener } from '../guest/guest.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import type { SshConnection } from '../ssh/connection.ts'
import type { ForwardBook } from './book.ts'
import type { Inlet } from './join.ts'

export interface Lent {
  /** Resolves when nobody can connect any more, and nobody is connected. */
  readonly over: Promise<void>
  /** Nobody can connect any more, and who is connected loses it. */
  withdraw(): void
}

/** For whom it is, and where inside. */
export interface LentPlace {
  readonly connection: SshConnection<unknown>
  readonly guest: Guest
  readonly target: Target
  readonly book: ForwardBook
}

/**
 * The listener's end comes with the connection's, also when that has come already.
 *
 * @param told is called when it has ended
 */
export function lend(closed: AbortSignal, listener: GuestListener, inlet: Inlet, told: () => void): Lent {
  const stay = onAbort(closed, () => void listener.close())
  void listener.ended.then(stay).then(told)
  return {
    over: inlet.over(listener),
    withdraw() {
      void listener.close()
      inlet.destroy()
    },
  }
}
