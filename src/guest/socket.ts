/** A CONNECT or ACCEPT channel: one end of a forwarded connection, inside. */
import type { HatchwayError } from '../base/errors.ts'
import type { Heard, InsideEnd } from '../bytes/relay.ts'
import { Traffic } from '../bytes/traffic.ts'
import { type ChannelLink, type GuestChannel, Opening } from './channel.ts'
import { ReceiveFlow, SendFlow } from './flow.ts'
import { CLOSE_MODE, closeFrame, ProtocolError, START_CREDIT } from './frames.ts'
import { GuestRefusal, type GuestStage } from './guest.ts'

export class Socket implements GuestChannel, InsideEnd {
  readonly traffic = new Traffic()
  readonly opening = new Opening<InsideEnd>()
  readonly #link: ChannelLink
  readonly #what: string
  readonly #send: SendFlow
  readonly #receive: ReceiveFlow
  readonly #sent = () => this.#allSent()
  #heard: Heard | undefined
  #told: (() => void) | undefined
  /** What came before anybody listened, within the credit. */
  #early: Buffer[] = []
  #isOpen = false
  #stalled = false
  #ending = false
  #sentEnd = false
  #gotEnd = false
  #isOver = false

  /** `credit`: what the helper may send before we listen. */
  constructor(link: ChannelLink, what: string, credit = START_CREDIT) {
    this.#link = link
    this.#what = what
    this.#send = new SendFlow(link.id, link.output)
    this.#receive = new ReceiveFlow(link.id, link.output, credit)
  }

  // The other end's side.

  listen(heard: Heard): void {
    this.#heard = heard
    let more = true
    for (const bytes of this.#early.splice(0)) more = heard.data(bytes)
    if (more) this.resume()
    if (this.#gotEnd) heard.ended()
    if (this.#sentEnd) heard.finished()
    if (this.#isOver) heard.closed()
    else this.#settle()
  }

  get unsent(): number {
    return this.#send.unsent
  }

  write(bytes: Buffer): boolean {
    if (this.#isOver || this.#ending) return true
    this.traffic.addIn(bytes.length)
    this.#send.write(bytes, this.#sent)
    this.#stalled = this.#send.busy
    return !this.#stalled
  }

  end(): void {
    if (this.#isOver || this.#ending) return
    this.#ending = true
    if (!this.#send.busy) this.#sendEnd()
  }

  resume(): void {
    if (!this.#isOver) this.#receive.resume()
  }

  destroy(): void {
    if (this.#isOver) return
    // After both ends the helper closes by itself, once its last bytes are out.
    if (!(this.#gotEnd && this.#sentEnd)) this.#link.output.control(closeFrame(this.#link.id, CLOSE_MODE.HANGUP))
    this.#over()
  }

  whenClosed(told: () => void): void {
    if (this.#isOver) told()
    else this.#told = told
  }

  // The helper's side.

  opened(_value: number, credit: number): void {
    if (this.#isOpen) throw new ProtocolError('OPENED twice')
    this.#isOpen = true
    this.#send.grant(credit)
    this.opening.resolve(this)
  }

  refused(stage: GuestStage, errno: string): void {
    if (this.#isOpen) throw new ProtocolError('FAIL after OPENED')
    this.#over(new GuestRefusal(stage, errno, this.#what))
  }

  data(fd: 1 | 2, piece: Buffer): void {
    if (!this.#isOpen || fd === 2) throw new ProtocolError('DATA a socket cannot have')
    if (this.#gotEnd) throw new ProtocolError('DATA after EOF')
    this.#receive.take(piece.length)
    if (this.#isOver) return
    this.traffic.addOut(piece.length)
    if (!this.#heard) this.#early.push(Buffer.from(piece))
    const more = this.#heard?.data(piece) === true
    if (!this.#isOver) this.#receive.consumed(piece.length, more)
  }

  eof(fd: 1 | 2): void {
    if (!this.#isOpen || fd === 2 || this.#gotEnd) throw new ProtocolError('EOF a socket cannot have')
    this.#gotEnd = true
    if (this.#isOver || !this.#heard) return
    this.#heard.ended()
    this.#settle()
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

  /** Before both ends were said: a reset. */
  channelClosed(): void {
    this.#over()
  }

  lost(error: HatchwayError): void {
    this.#over(error)
  }

  #allSent(): void {
    if (this.#isOver) return
    if (this.#ending) this.#sendEnd()
    else if (this.#stalled) {
      this.#stalled = false
      this.#heard?.drained()
    }
  }

  #sendEnd(): void {
    this.#send.eof()
    this.#sentEnd = true
    this.#heard?.finished()
    this.#settle()
  }

  #settle(): void {
    if (this.#heard && this.#gotEnd && this.#sentEnd) this.#over()
  }

  #over(reason?: Error): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#send.drop()
    if (!this.#isOpen) this.opening.reject(reason ?? new Error('closed while connecting'))
    this.#heard?.closed()
    this.#told?.()
  }
}
