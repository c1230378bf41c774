/** What a client lends to programs inside for as long as its connection or its round lasts, as its agent: a listener and who uses it. */
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
  /** The connection's end, or an earlier one. */
  readonly closed: AbortSignal
  readonly guest: Guest
  readonly target: Target
  readonly book: ForwardBook
}

/**
 * It is withdrawn when `closed` aborts, also when that has come already.
 *
 * @param told is called when the listener has ended
 */
export function lend(closed: AbortSignal, listener: GuestListener, inlet: Inlet, told: () => void): Lent {
  const over = inlet.over(listener)
  function withdraw(): void {
    void listener.close()
    inlet.destroy()
  }
  const stay = onAbort(closed, withdraw)
  void listener.ended.then(told)
  // Who is connected stays when the listener alone has ended, and loses it with `closed` all the same.
  void over.then(stay)
  return { over, withdraw }
}
