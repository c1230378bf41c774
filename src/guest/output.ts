/** What leaves for the helper: control frames at once, DATA in turns, and only while the transport takes it. */
import type { Writable } from 'node:stream'
import { frame, header, ProtocolError, TYPE } from './frames.ts'

/** DATA waits while so much is queued: enough to keep a socket busy, little enough for a ping to pass. */
const HIGH_WATER = 256 * 1024
/** A helper that reads nothing while requests pile up is ended. Sixteen of the longest requests fit. */
const OVERRUN = 16 * 1024 * 1024
/** Below it one copied buffer costs less than two writes. */
const SMALL = 4096

/** A channel with something to send: sends one piece each time it is its turn. */
export interface Sender {
  turn(): void
}

export class Output {
  /** Payload of DATA sent so far. */
  bytes = 0
  #to: Writable
  #held: Buffer[] | undefined
  #heldBytes = 0
  #closed = false
  readonly #waiting = new Set<Sender>()
  readonly #onDrain = (): void => this.#takeTurns()

  constructor(to: Writable) {
    this.#to = to
    to.on('drain', this.#onDrain)
  }

  /** DATA may be sent now; else `wait`. */
  get ready(): boolean {
    return !this.#closed && this.#held === undefined && this.#to.writableLength < HIGH_WATER
  }

  /** Others wait for their turn. */
  get contended(): boolean {
    return this.#waiting.size > 0
  }

  wait(sender: Sender): void {
    this.#waiting.add(sender)
  }

  forget(sender: Sender): void {
    this.#waiting.delete(sender)
  }

  control(bytes: Buffer): void {
    if (this.#closed) return
    if (this.#held !== undefined) {
      this.#held.push(bytes)
      this.#heldBytes += bytes.length
    } else this.#to.write(bytes)
    if (this.#heldBytes + this.#to.writableLength > OVERRUN) throw new ProtocolError('the helper does not read')
  }

  /** At most MAX_PAYLOAD bytes, ours until the call `taken`. */
  data(channel: number, bytes: Buffer, taken: (() => void) | undefined): void {
    if (this.#closed) {
      taken?.()
      return
    }
    this.bytes += bytes.length
    if (bytes.length <= SMALL) {
      this.#to.write(frame(TYPE.DATA, channel, bytes))
      taken?.()
      return
    }
    this.#to.cork()
    this.#to.write(header(TYPE.DATA, channel, bytes.length))
    // Not 'drain': that comes when everything has left, and the transport would run dry meanwhile.
    this.#to.write(bytes, () => {
      taken?.()
      this.#takeTurns()
    })
    this.#to.uncork()
  }

  /** Hold everything back (SWITCH) until `open`. */
  hold(): void {
    this.#held ??= []
  }

  /** Let go on, over `to`. */
  open(to: Writable): void {
    const held = this.#held ?? []
    this.#held = undefined
    this.#heldBytes = 0
    if (to !== this.#to) {
      this.#to.off('drain', this.#onDrain)
      this.#to = to
      to.on('drain', this.#onDrain)
    }
    for (const bytes of held) this.control(bytes)
    this.#takeTurns()
  }

  close(): void {
    this.#closed = true
    this.#held = undefined
    this.#to.off('drain', this.#onDrain)
    this.#waiting.clear()
  }

  #takeTurns(): void {
    for (const sender of this.#waiting) {
      if (!this.ready) return
      this.#waiting.delete(sender)
      sender.turn()
    }
  }
}
