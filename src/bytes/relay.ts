/**
 * A forwarded connection: two ends, and the bytes between them. An end is no node stream: most forwards are short, and a
 * Duplex on either side with a pipe each way was a third of what one cost.
 */
import type { Traffic } from './traffic.ts'

/** For the last bytes to an end that reads slowly, once the other end is gone: some must leave within this time. */
const STUCK_MS = 60_000

/** Bytes are lent, both ways: an end that keeps them copies them. */
export interface End {
  /** From now on `heard` is told what comes, and at once what came before. Called once. */
  listen(heard: Heard): void
  /** False: taken, but more is welcome only after `drained`. After the end, or `end`, it is dropped. */
  write(bytes: Buffer): boolean
  /** Bytes written that have not left; absent where they may wait as long as the connection they belong to lasts. */
  readonly unsent?: number
  /** No more will be written; what was leaves first. Idempotent. */
  end(): void
  /** After `data` answered false. */
  resume(): void
  /** Both ways, at once. Idempotent. */
  destroy(): void
  /** Told once, when it is over both ways; now, if it is. */
  whenClosed(told: () => void): void
}

/** The end inside a container: it knows what has passed, both ways. */
export interface InsideEnd extends End {
  readonly traffic: Traffic
}

export interface Heard {
  /** False: no more, please, until `resume`; what is under way may still come. */
  data(bytes: Buffer): boolean
  /** It sends no more. */
  ended(): void
  drained(): void
  /** All that was written has left, and the end of it. */
  finished(): void
  /** It is over both ways. Nothing is told after it. */
  closed(): void
}

/** Bytes both ways; an end of sending on one side is passed on, a broken side breaks both. */
export function relay(one: End, other: End): void {
  const there = new Way(one, other)
  const back = new Way(other, one)
  there.back = back
  back.back = there
  one.listen(there)
  other.listen(back)
}

class Way implements Heard {
  /** The other of the two. */
  back: Way = this
  readonly #from: End
  readonly #to: End
  #ended = false
  #isFinished = false
  #isClosed = false
  #limit: NodeJS.Timeout | undefined

  constructor(from: End, to: End) {
    this.#from = from
    this.#to = to
  }

  data(bytes: Buffer): boolean {
    return this.#to.write(bytes)
  }

  ended(): void {
    this.#ended = true
    this.#to.end()
  }

  drained(): void {
    this.#to.resume()
  }

  finished(): void {
    this.#isFinished = true
    if (this.back.#isClosed) this.#from.destroy()
  }

  closed(): void {
    this.#isClosed = true
    clearTimeout(this.back.#limit)
    if (this.back.#isClosed) return
    // Nothing can be written to `from` any more; what it sent in full may still leave.
    if (!this.#ended || this.back.#isFinished) this.#to.destroy()
    else this.#awaitRest(Number.POSITIVE_INFINITY)
  }

  #awaitRest(before: number): void {
    const { unsent } = this.#to
    if (unsent === undefined) return
    if (unsent >= before) this.#to.destroy()
    else this.#limit = setTimeout(() => this.#awaitRest(unsent), STUCK_MS)
  }
}
