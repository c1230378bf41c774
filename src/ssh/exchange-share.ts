/**
 * What the key exchanges that a client asks for may cost. One of the dear kind takes milliseconds of the thread that serves
 * everybody, a client need not compute anything for it, and none needs many: after the first second they get a tenth of
 * the time. A client that wants more waits, and is not ended: RekeyLimit=16 of ssh_config(5) asks for one with every
 * packet.
 */
import { BoundedMap } from '../lifetime/bounded-map.ts'
import { ComputingShare } from './computing-share.ts'

const SHARE = 0.1
const FREE_MS = 1000
/** What is forgotten is a second of computing at the most. */
const MAX_IDENTITIES = 1000

/**
 * All connections of an identity have one share, and the next ones go on with it: how many there are is the client's
 * choice.
 */
export class ExchangeShares {
  readonly #known = new BoundedMap<string, ComputingShare>(MAX_IDENTITIES)

  of(identity: string): ComputingShare {
    const share = this.#known.get(identity) ?? new ComputingShare(SHARE, FREE_MS)
    this.#known.set(identity, share)
    return share
  }
}

/** One connection's part in it. */
export class ExchangeShare {
  readonly #rested: () => void
  #share: ComputingShare | undefined
  #asked = false
  #rest: NodeJS.Timeout | undefined

  /** `rested`: the client may be heard again. */
  constructor(rested: () => void) {
    this.#rested = rested
  }

  /** The client is in; before that it may ask for none. */
  charge(share: ComputingShare): void {
    this.#share = share
  }

  /** The client begins one. */
  asked(): void {
    this.#asked = true
  }

  /** The client is not to be heard. */
  get resting(): boolean {
    return this.#rest !== undefined
  }

  /**
   * Bytes of the client's were handled. All of it counts from the client's KEXINIT on, to the end of those bytes that
   * ended the exchange: a whole one may be in one piece.
   * @param cost milliseconds; a machine that stood still counts a little
   * @param exchanging the exchange is not over
   */
  handled(cost: number, now: number, exchanging: boolean): void {
    if (!this.#asked || !this.#share) return
    this.#asked = exchanging
    const rest = this.#share.spend(cost, now)
    if (rest <= 0) return
    clearTimeout(this.#rest)
    this.#rest = setTimeout(() => {
      this.#rest = undefined
      this.#rested()
    }, rest).unref()
  }

  stop(): void {
    clearTimeout(this.#rest)
    this.#rest = undefined
  }
}
