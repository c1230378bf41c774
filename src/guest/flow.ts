/** Byte credit of one channel, both ways: docs/guest-protocol.md "Flow control". */
import { FRAME_TYPE, frame, MAX_CREDIT, MAX_PAYLOAD, ProtocolError, START_CREDIT, windowFrame } from './frames.ts'
import type { Output, Sender } from './output.ts'

/** A window used up within this time is doubled: 256 KiB in 50 ms is 5 MB/s. */
const SATURATED_MS = 50

/** The bytes of one channel towards the helper, within the credit it granted. */
export class SendFlow implements Sender {
  readonly #channel: number
  readonly #output: Output
  #credit = 0
  /** Written, and not sent yet. */
  #rest: Buffer | undefined
  /** Behind it, from callers that could not wait. */
  readonly #more: Buffer[] = []
  #done: (() => void) | undefined
  #dropping = false

  constructor(channel: number, output: Output) {
    this.#channel = channel
    this.#output = output
  }

  /** Bytes that wait. */
  get unsent(): number {
    return this.#more.reduce((sum, bytes) => sum + bytes.length, this.#rest?.length ?? 0)
  }

  get busy(): boolean {
    return this.#rest !== undefined
  }

  /** `done` when the last byte was sent. The chunk is lent: what has to wait is copied. */
  write(chunk: Buffer, done: () => void): void {
    if (this.#dropping) {
      done()
      return
    }
    this.#done = done
    if (this.#rest !== undefined) {
      this.#more.push(Buffer.from(chunk))
      return
    }
    this.#rest = chunk
    this.turn()
    if (this.#rest !== undefined) this.#rest = Buffer.from(this.#rest)
  }

  /** Every chunk has left. */
  eof(): void {
    if (!this.#dropping) this.#output.control(frame(FRAME_TYPE.EOF, this.#channel))
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
    while (this.#rest !== undefined) {
      if (this.#rest.length === 0) {
        this.#rest = this.#more.shift()
        if (this.#rest !== undefined) continue
        this.#finish()
        return
      }
      if (this.#credit === 0) return
      if (!this.#output.ready) {
        this.#output.wait(this)
        return
      }
      const n = Math.min(this.#rest.length, this.#credit, MAX_PAYLOAD)
      const piece = this.#rest.subarray(0, n)
      this.#rest = this.#rest.subarray(n)
      this.#credit -= n
      this.#output.data(this.#channel, piece)
      // One piece each where several want to send.
      if (this.#rest.length > 0 && this.#output.contended) {
        this.#output.wait(this)
        return
      }
    }
  }

  #finish(): void {
    const done = this.#done
    this.#done = undefined
    this.#rest = undefined
    this.#more.length = 0
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
    this.#stalled = credit === 0
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
