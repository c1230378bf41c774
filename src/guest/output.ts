/** What leaves for the helper: control frames at once, DATA in turns, and only while the transport takes it. */
import type { Writable } from 'node:stream'
import { SlabOutput } from '../bytes/batched-writer.ts'
import { FRAME_TYPE, HEADER, ProtocolError, writeHeader } from './frames.ts'

/** DATA waits while so much is queued: enough to keep a socket busy, little enough for a ping to pass. */
const HIGH_WATER_BYTES = 256 * 1024
/** A helper that reads nothing while requests pile up is ended. Sixteen of the longest requests fit. */
const OVERRUN_BYTES = 16 * 1024 * 1024

/** A channel with something to send: sends one piece each time it is its turn. */
export interface Sender {
  turn(): void
}

export class Output {
  /** Payload of DATA sent so far. */
  bytes = 0
  #to: SlabOutput
  #held: Buffer[] | undefined
  #heldBytes = 0
  #closed = false
  readonly #waiting = new Set<Sender>()
  readonly #broken: (error: ProtocolError) => void

  /** `broken` is told later, not from inside a call: the sender of a frame may be in the middle of anything. */
  constructor(to: Writable, broken: (error: ProtocolError) => void) {
    this.#to = this.#towards(to)
    this.#broken = broken
  }

  /** DATA may be sent now; else `wait`. */
  get ready(): boolean {
    return !this.#closed && this.#held === undefined && !this.#to.congested
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
    if (this.#heldBytes + this.#to.unsent <= OVERRUN_BYTES) return
    this.close()
    queueMicrotask(() => this.#broken(new ProtocolError('the helper does not read')))
  }

  /** At most MAX_PAYLOAD bytes, which are copied. */
  data(channel: number, bytes: Buffer): void {
    if (this.#closed) return
    this.bytes += bytes.length
    const frame = this.#to.alloc(HEADER + bytes.length)
    writeHeader(frame, FRAME_TYPE.DATA, channel, bytes.length)
    bytes.copy(frame, HEADER)
    this.#to.write(frame)
  }

  /** Hold everything back (SWITCH) until `open`; what was given before leaves now. */
  hold(): void {
    this.#to.flush()
    this.#held ??= []
  }

  /** Let go on, over `to`. */
  open(to: Writable): void {
    const held = this.#held ?? []
    this.#held = undefined
    this.#heldBytes = 0
    this.#to = this.#towards(to)
    for (const bytes of held) this.control(bytes)
    this.#takeTurns()
  }

  close(): void {
    this.#closed = true
    this.#held = undefined
    this.#waiting.clear()
  }

  #towards(to: Writable): SlabOutput {
    return new SlabOutput(to, () => this.#takeTurns(), HIGH_WATER_BYTES)
  }

  #takeTurns(): void {
    for (const sender of this.#waiting) {
      if (!this.ready) return
      this.#waiting.delete(sender)
      sender.turn()
    }
  }
}
