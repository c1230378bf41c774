/** A CONNECT or ACCEPT channel as a Duplex that half-closes both ways. */
import { Duplex } from 'node:stream'
import type { HatchwayError } from '../errors.ts'
import type { Channel, ChannelLink } from './channel.ts'
import { CLOSE_MODE, closeFrame, Opening } from './channel.ts'
import { ReceiveFlow, SendFlow, START_CREDIT } from './flow.ts'
import { ProtocolError, STAGES, windowFrame } from './frames.ts'
import { GuestRefusal } from './guest.ts'
import { errnoName } from './linux.ts'

export class Socket extends Duplex implements Channel {
  readonly opening = new Opening<Duplex>()
  readonly #link: ChannelLink
  readonly #what: string
  readonly #send: SendFlow
  readonly #receive: ReceiveFlow
  #isOpen = false
  #sentEnd = false
  #gotEnd = false
  #isClosing = false
  #isClosed = false

  constructor(link: ChannelLink, what: string) {
    super({ allowHalfOpen: true, readableHighWaterMark: 65536, writableHighWaterMark: 131072 })
    this.#link = link
    this.#what = what
    this.#send = new SendFlow(link.id, link.output)
    this.#receive = new ReceiveFlow(link.id, link.output, START_CREDIT)
    // The user of the stream hears it too; without anybody listening a hostile reset must not end the process.
    this.on('error', () => {})
  }

  /** ACCEPT: open from the start; the helper may send from our first WINDOW on. */
  accepted(credit: number): void {
    this.#link.output.control(windowFrame(this.#link.id, START_CREDIT))
    this.opened(0, credit)
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#send.write(chunk, done)
  }

  override _final(done: () => void): void {
    if (!this.#isClosing && !this.#isClosed) this.#send.eof()
    this.#sentEnd = true
    done()
  }

  override _read(): void {
    if (!this.#isClosing && !this.#isClosed) this.#receive.resume()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // After both ends the helper closes by itself, once its last bytes are out: a CLOSE now would cut them off.
    if (!this.#isClosed && !(this.#sentEnd && this.#gotEnd)) {
      this.#link.output.control(closeFrame(this.#link.id, CLOSE_MODE.hangUp))
    }
    this.#isClosing = true
    this.#send.drop()
    if (!this.#isOpen) this.opening.reject(error ?? new Error('closed while connecting'))
    done(error)
  }

  opened(_value: number, credit: number): void {
    if (this.#isOpen) throw new ProtocolError('OPENED twice')
    this.#isOpen = true
    this.#send.grant(credit)
    this.opening.resolve(this)
  }

  refused(refusal: { readonly errno: number; readonly stage: number }): void {
    if (this.#isOpen) throw new ProtocolError('FAIL after OPENED')
    this.#isClosed = true
    this.opening.reject(new GuestRefusal(STAGES[refusal.stage] ?? 'connect', errnoName(refusal.errno), this.#what))
    this.destroy()
  }

  data(fd: 1 | 2, piece: Buffer): void {
    if (!this.#isOpen || fd === 2) throw new ProtocolError('DATA a socket cannot have')
    if (this.#gotEnd) throw new ProtocolError('DATA after EOF')
    this.#receive.take(piece.length)
    // The piece is lent; a Readable keeps what it is given.
    if (!this.#isClosing) this.#receive.consumed(piece.length, this.push(Buffer.from(piece)))
  }

  eof(fd: 1 | 2): void {
    if (!this.#isOpen || fd === 2 || this.#gotEnd) throw new ProtocolError('EOF a socket cannot have')
    this.#gotEnd = true
    if (!this.#isClosing) this.push(null)
  }

  window(bytes: number): void {
    if (!this.#isOpen) throw new ProtocolError('WINDOW before OPENED')
    this.#send.grant(bytes)
  }

  exited(): void {
    throw new ProtocolError('EXIT of a socket')
  }

  unread(): void {
    throw new ProtocolError('UNREAD of a socket')
  }

  channelClosed(): void {
    this.#isClosed = true
    this.#send.drop()
    if (this.#isClosing || (this.#gotEnd && this.#sentEnd)) return
    const reset: NodeJS.ErrnoException = new Error(`${this.#what}: connection reset inside the container`)
    reset.code = 'ECONNRESET'
    this.destroy(reset)
  }

  lost(error: HatchwayError): void {
    this.#isClosed = true
    this.destroy(error)
  }
}
