/** Byte credit of one channel, both ways: docs/guest-protocol.md "Flow control". */
import { frame, MAX_CREDIT, MAX_PAYLOAD, ProtocolError, TYPE, windowFrame } from './frames.ts'
import type { Output, Sender } from './output.ts'

export const START_CREDIT = 256 * 1024
/** A window used up within this time is doubled: 256 KiB in 50 ms is 5 MB/s. */
const SATURATED_MS = 50

/** The bytes of one Writable towards the helper, within the credit it granted. */
export class SendFlow implements Sender {
  readonly #channel: number
  readonly #output: Output
  #credit = 0
  #chunks: Buffer[] = []
  #done: (() => void) | undefined
  #dropping = false

  constructor(channel: number, output: Output) {
    this.#channel = channel
    this.#output = output
  }

  /** Writable's _write and _writev: `done` when the last byte left. */
  write(chunks: Buffer[], done: () => void): void {
    if (this.#dropping) {
      done()
      return
    }
    this.#chunks = chunks.filter((chunk) => chunk.length > 0)
    this.#done = done
    if (this.#chunks.length === 0) this.#finish()
    else this.turn()
  }

  /** Writable's _final: every chunk has left. */
  eof(): void {
    if (!this.#dropping) this.#output.control(frame(TYPE.EOF, this.#channel))
  }

  grant(bytes: number): void {
    this.#credit += bytes
    if (this.#credit > MAX_CREDIT) throw new ProtocolError(`${this.#credit} bytes of credit outstanding`)
    this.turn()
  }

  /** Nobody reads any more: swallow what is here and what still comes. */
  drop(): void {
    this.#dropping = true
    this.#output.forget(this)
    this.#finish()
  }

  turn(): void {
    while (this.#credit > 0) {
      const [chunk] = this.#chunks
      if (chunk === undefined) return
      if (!this.#output.ready) {
        this.#output.wait(this)
        return
      }
      const n = Math.min(chunk.length, this.#credit, MAX_PAYLOAD)
      const piece = n === chunk.length ? chunk : chunk.subarray(0, n)
      if (n === chunk.length) this.#chunks.shift()
      else this.#chunks[0] = chunk.subarray(n)
      this.#credit -= n
      const isLast = this.#chunks.length === 0
      this.#output.data(this.#channel, piece, isLast ? () => this.#finish() : undefined)
      // One piece each where several want to send.
      if (!isLast && this.#output.contended) {
        this.#output.wait(this)
        return
      }
    }
  }

  #finish(): void {
    const done = this.#done
    this.#done = undefined
    this.#chunks = []
    done?.()
  }
}

/** The helper's right to send on one channel: taken by DATA, given back as the reader consumes. */
export class ReceiveFlow {
  readonly #channel: number
  readonly #output: Output
  #credit: number
  #window = START_CREDIT
  #consumed = 0
  #stalled = false
  #grantedAt = 0

  constructor(channel: number, output: Output, credit: number) {
    this.#channel = channel
    this.#output = output
    this.#credit = credit
  }

  take(bytes: number): void {
    this.#credit -= bytes
    if (this.#credit < 0) throw new ProtocolError(`${-this.#credit} bytes beyond the credit`)
  }

  /** `more` false: consumed, but the reader asks for no more until resume(). */
  consumed(bytes: number, more: boolean): void {
    this.#consumed += bytes
    if (!more) this.#stalled = true
    else if (!this.#stalled && this.#consumed >= this.#window / 2) this.#grant()
  }

  resume(): void {
    if (!this.#stalled) return
    this.#stalled = false
    this.#window = START_CREDIT
    this.#grantedAt = 0
    this.#grant()
  }

  #grant(): void {
    const now = performance.now()
    if (now - this.#grantedAt < SATURATED_MS && this.#window < MAX_CREDIT) this.#window *= 2
    this.#grantedAt = now
    const bytes = this.#window - this.#credit
    this.#consumed = 0
    if (bytes <= 0) return
    this.#credit += bytes
    this.#output.control(windowFrame(this.#channel, bytes))
  }
}
