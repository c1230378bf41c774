/**
 * What the key exchanges of all clients that have not logged in may cost together. A client computes nothing for one, if it
 * likes: nine connections of such clients took all of the thread that serves everybody's sessions. So they take turns, one
 * in a turn of the event loop, and have a share of the time; a client that finds it spent waits. sshd has a process for
 * each.
 */
import { ComputingShare } from './computing-share.ts'
import { DEAR_KEX } from './kex/algorithms.ts'

/** Hundreds of logins a second: an exchange takes less than a millisecond, and the signature of an RSA host key 2.6. */
const SHARE = 0.4
/** Of those that cost milliseconds, which nobody's client prefers. */
const DEAR_SHARE = 0.1
/** As many as come at once when a fleet of clients wakes up. */
const FREE_MS = 200

export class LoginExchanges {
  readonly #quick = new Lane(SHARE)
  readonly #dear = new Lane(DEAR_SHARE)

  get waiting(): number {
    return this.#quick.waiting + this.#dear.waiting
  }

  /**
   * Computes at once, or when its turn comes. Returns how not to wait any longer; idempotent.
   * @param compute must not throw where it is called later
   */
  take(kex: string, compute: () => void): () => void {
    return (DEAR_KEX.includes(kex) ? this.#dear : this.#quick).take(compute)
  }
}

/** In the order they came. MaxStartups bounds how many wait. */
class Lane {
  readonly #waiting = new Set<() => void>()
  readonly #share: ComputingShare
  #rests = false
  /** The end of this turn. Unless somebody waits for it, the event loop need not go round for it. */
  #turn: NodeJS.Immediate | undefined

  constructor(share: number) {
    this.#share = new ComputingShare(share, FREE_MS)
  }

  get waiting(): number {
    return this.#waiting.size
  }

  take(compute: () => void): () => void {
    this.#waiting.add(compute)
    this.#next()
    return () => void this.#waiting.delete(compute)
  }

  #next(): void {
    const [first] = this.#waiting
    if (!first) return
    if (this.#rests) {
      this.#turn?.ref()
      return
    }
    this.#waiting.delete(first)
    this.#rests = true
    const began = performance.now()
    try {
      first()
    } finally {
      this.#rest(this.#share.spend(performance.now() - began, began))
    }
  }

  #rest(milliseconds: number): void {
    const rested = () => {
      this.#turn = undefined
      this.#rests = false
      this.#next()
    }
    if (milliseconds > 0) setTimeout(rested, milliseconds).unref()
    // Those who are in are heard in between.
    else this.#turn = setImmediate(rested).unref()
  }
}
