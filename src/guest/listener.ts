/** A LISTEN channel: a socket inside that accepts for one of our users. */
import { isIP } from 'node:net'
import type { HatchwayError } from '../base/errors.ts'
import { type ChannelLink, type GuestChannel, Opening } from './channel.ts'
import { CLOSE_MODE, closeFrame, ProtocolError } from './frames.ts'
import { type GuestAccepted, type GuestListener, GuestRefusal, type GuestStage } from './guest.ts'
import { Socket } from './socket.ts'

export class HelperListener implements GuestListener, GuestChannel {
  readonly opening = new Opening<GuestListener>()
  readonly ended: Promise<void>
  port = 0
  readonly #link: ChannelLink
  readonly #what: string
  readonly #onAccept: (accepted: GuestAccepted) => void
  readonly #ending = new Opening<void>()
  #isOpen = false
  #isClosing = false

  constructor(link: ChannelLink, what: string, onAccept: (accepted: GuestAccepted) => void) {
    this.#link = link
    this.#what = what
    this.#onAccept = onAccept
    this.ended = this.#ending.settled
  }

  close(): Promise<void> {
    if (!this.#isClosing) {
      this.#isClosing = true
      this.#link.output.control(closeFrame(this.#link.id, CLOSE_MODE.HANGUP))
    }
    return this.ended
  }

  opened(port: number): void {
    if (this.#isOpen || port > 65535) throw new ProtocolError(`OPENED of a listener on port ${port}`)
    this.#isOpen = true
    this.port = port
    this.opening.resolve(this)
  }

  refused(stage: GuestStage, errno: string): void {
    if (this.#isOpen) throw new ProtocolError('FAIL after OPENED')
    this.opening.reject(new GuestRefusal(stage, errno, this.#what))
    this.#end()
  }

  /** The channel that ACCEPT made; the connection puts it in its table. */
  accepts(link: ChannelLink, credit: number, port: number, address: Buffer): Socket {
    if (!this.#isOpen) throw new ProtocolError('ACCEPT before OPENED')
    const socket = new Socket(link, 'forwarded connection', 0)
    const claimed = address.toString('latin1')
    // Open from the start, also for what is under way to one that nobody takes any more.
    socket.opened(0, credit)
    if (this.#isClosing) {
      socket.destroy()
      return socket
    }
    this.#onAccept({ end: socket, address: isIP(claimed) > 0 ? claimed : '', port })
    return socket
  }

  data(): void {
    throw new ProtocolError('DATA of a listener')
  }

  eof(): void {
    throw new ProtocolError('EOF of a listener')
  }

  window(): void {
    throw new ProtocolError('WINDOW of a listener')
  }

  exited(): void {
    throw new ProtocolError('EXIT of a listener')
  }

  unread(): void {
    throw new ProtocolError('UNREAD of a listener')
  }

  channelClosed(): void {
    this.#end()
  }

  lost(error: HatchwayError): void {
    this.opening.reject(error)
    this.#end()
  }

  #end(): void {
    this.#isClosing = true
    this.opening.reject(new GuestRefusal('listen', 'ECANCELED', this.#what))
    this.#ending.resolve()
  }
}
