/**
 * One channel (RFC 4254 §5): the client's window, EOF and CLOSE in their order. What the channel receives waits, within the
 * window, until its owner takes it. The owner is what uses the channel: a session or a forwarded stream.
 */
import type { Budget } from './budget.ts'
import { ByteQueue } from './byte-queue.ts'
import { ChannelWriter, MAX_DATA, type RemoteEnd } from './channel-writer.ts'
import { Message, type PacketReader, packet } from './packets.ts'
import { RequestQueue } from './request-queue.ts'
import type { Transport } from './transport.ts'

/** What a channel begins with: nobody may ever read it. */
export const START_WINDOW = 2 * MAX_DATA
/** What a window grows to as it is used; sshd gives that much (CHAN_SES_WINDOW_DEFAULT, 64 packets) from the start. */
const MAX_WINDOW_BYTES = 64 * MAX_DATA
/** Give window back in steps of 8 packets. */
const CREDIT_STEP_BYTES = 8 * MAX_DATA

export interface ChannelOwner {
  /** Bytes came, lent until it returns. True: taken; false: they wait for `read`. */
  onData(bytes: Buffer): boolean
  /** The client sends no more. */
  onEof(): void
  /** Everything given to `write` left, and more may be given. */
  onDrained(): void
  /** A channel request, to be answered once, now or later: further requests wait until then. */
  onRequest(type: string, data: PacketReader, answer: (accepted: boolean) => void): void
  /** CLOSE, or the connection is gone; `forced`: closed by us, and nothing that came is to be read. Called once. */
  onClosed(forced: boolean): void
}

export class Channel {
  readonly #transport: Transport
  readonly #remote: number
  readonly #writer: ChannelWriter
  readonly #requests: RequestQueue
  readonly #removed: () => void
  readonly #received = new ByteQueue()
  readonly #budget: Budget
  /** Of the budget: the window, and what requests left here. */
  #held: number
  #window: number
  #windowLeft: number
  /** Beyond the window. */
  #excess = 0
  /** Window to give back, and how much of it somebody read. */
  #credit = 0
  #read = 0
  #owner: ChannelOwner | undefined
  #finished: (() => void) | undefined
  #traffic: (() => void) | undefined
  #told = false
  #eofSent = false
  #closeSent = false
  #eofReceived = false
  #discarding = false
  #gone = false

  /**
   * START_WINDOW is what the client was or will be told, and taken from the budget; `removed`: both ends closed, or the
   * connection is gone.
   */
  constructor(remote: RemoteEnd, transport: Transport, budget: Budget, removed: () => void) {
    this.#budget = budget
    this.#held = START_WINDOW
    this.#window = START_WINDOW
    this.#windowLeft = START_WINDOW
    this.#remote = remote.id
    this.#transport = transport
    this.#removed = removed
    this.#writer = new ChannelWriter(remote, transport, budget, () => this.#owner?.onDrained())
    this.#requests = new RequestQueue({
      handle: (type, data, answer) => (this.#owner ? this.#owner.onRequest(type, data, answer) : answer(false)),
      reply: (accepted) => this.#send(accepted ? Message.CHANNEL_SUCCESS : Message.CHANNEL_FAILURE),
      broken: (error) => transport.broken(error),
      hold: (bytes) => this.hold(bytes),
      release: (bytes) => this.#release(bytes),
    })
  }

  own(owner: ChannelOwner): void {
    this.#owner = owner
  }

  /** `finished` is called once, when no more can be sent. */
  onFinished(finished: () => void): void {
    this.#finished = finished
  }

  /** `traffic` is called for every byte, either way. */
  onTraffic(traffic: () => void): void {
    this.#traffic = traffic
  }

  /** No more can be sent: closed by either end, or the connection is gone. */
  get finished(): boolean {
    return this.#closeSent || this.#gone
  }

  get gone(): boolean {
    return this.#gone
  }

  get eofReceived(): boolean {
    return this.#eofReceived
  }

  /** Bytes received that wait to be read. */
  get unread(): number {
    return this.#received.length
  }

  /** The client's EOF has come, and no byte before it is left. */
  get ended(): boolean {
    return this.#eofReceived && this.#received.length === 0
  }

  /** 1 data, 2 extended data (stderr). The chunk is copied; false: wait for `onDrained`. */
  write(fd: 1 | 2, chunk: Buffer): boolean {
    this.#traffic?.()
    return this.#eofSent || this.#writer.write(fd, chunk)
  }

  /** Tells when all that was written left, or cannot leave any more: now, if nothing waits. */
  whenFlushed(told: () => void): void {
    this.#writer.whenFlushed(told)
  }

  /** When all is flushed. */
  sendEof(): void {
    if (this.#eofSent) return
    this.#eofSent = true
    this.#send(Message.CHANNEL_EOF)
  }

  /** A request without a reply: exit-status, eow@openssh.com. */
  sendRequest(type: string, data: Buffer): void {
    if (this.finished) return
    this.#transport.send(packet(Message.CHANNEL_REQUEST, this.#remote, type, false, { raw: data }))
  }

  /** What is not yet sent is dropped. */
  close(): void {
    if (this.finished) return
    this.#send(Message.CHANNEL_CLOSE)
    this.#closeSent = true
    this.#finish()
    this.discard()
  }

  /** Closed for a reason of ours: the owner is told now, for the client may never answer. */
  expire(): void {
    this.close()
    this.#tellClosed(true)
  }

  /** eow@openssh.com: the client reads no more; what is written is dropped. */
  mute(): void {
    this.#writer.stop()
  }

  /** The next bytes received, or undefined. Taking them gives window back. */
  read(): Buffer | undefined {
    if (this.#received.length === 0) return undefined
    const bytes = this.#received.shift()
    this.#give(bytes.length, true)
    return bytes
  }

  /** The same, lent to `use` until it returns. False: there are none. */
  lend(use: (bytes: Buffer) => void): boolean {
    const before = this.#received.length
    this.#received.lend(use)
    if (before > this.#received.length) this.#give(before - this.#received.length, true)
    return before > 0
  }

  /** Nobody reads: drop what is here and what comes, as sshd does, with the window going on. */
  discard(): void {
    this.#discarding = true
    const { length } = this.#received
    this.#received.clear()
    if (length > 0) this.#give(length)
  }

  /** Something is kept for as long as the channel lives. False: the client's identity has too much already. */
  hold(bytes: number): boolean {
    if (this.#gone || !this.#budget.take(bytes)) return false
    this.#held += bytes
    return true
  }

  // From the connection, one method for each message.

  /** False: the client ignored our window by more than sshd forgives (channels.c: a tenth). */
  receive(data: Buffer): boolean {
    this.#traffic?.()
    if (!this.#charge(data.length)) return false
    if (this.#discarding || this.#eofReceived) this.#give(data.length)
    else if (this.#received.length === 0 && this.#owner?.onData(data)) this.#give(data.length, true)
    else this.#received.push(data)
    return true
  }

  /** Extended data from a client has no meaning; the window it took goes back. False: as `receive`. */
  receiveExtended(length: number): boolean {
    if (!this.#charge(length)) return false
    this.#give(length)
    return true
  }

  receiveEof(): void {
    if (this.#eofReceived || this.#gone) return
    this.#eofReceived = true
    this.#owner?.onEof()
  }

  receiveClose(): void {
    this.#send(Message.CHANNEL_CLOSE)
    this.#closeSent = true
    this.end()
  }

  adjustWindow(bytes: number): void {
    this.#writer.adjust(bytes)
  }

  /** False: too many requests wait. */
  receiveRequest(type: string, wantReply: boolean, data: PacketReader): boolean {
    return this.#requests.add(type, wantReply, data)
  }

  /** The connection is gone, or both ends closed. */
  end(): void {
    if (this.#gone) return
    this.#gone = true
    this.#finish()
    this.#requests.stop()
    this.#releaseRest()
    this.#removed()
    this.#tellClosed(false)
  }

  #tellClosed(forced: boolean): void {
    if (this.#told) return
    this.#told = true
    this.#owner?.onClosed(forced)
  }

  #send(type: number): void {
    if (!this.finished) this.#transport.send(packet(type, this.#remote))
  }

  #finish(): void {
    this.#writer.stop()
    this.#finished?.()
    this.#finished = undefined
  }

  #charge(bytes: number): boolean {
    this.#excess += Math.max(0, bytes - this.#windowLeft)
    this.#windowLeft = Math.max(0, this.#windowLeft - bytes)
    return this.#excess <= this.#window / 10
  }

  #give(bytes: number, read = false): void {
    if (this.#gone) {
      this.#releaseRest()
      return
    }
    this.#credit += bytes
    if (read) this.#read += bytes
    if (this.#credit < Math.min(CREDIT_STEP_BYTES, this.#window / 2) || this.finished || this.#eofReceived) return
    this.#grow()
    this.#windowLeft += this.#credit
    this.#transport.send(packet(Message.CHANNEL_WINDOW_ADJUST, this.#remote, this.#credit))
    this.#credit = 0
  }

  /** A window that is read grows by as much as was read: it doubles each time. */
  #grow(): void {
    const more = Math.min(this.#read, MAX_WINDOW_BYTES - this.#window)
    this.#read = 0
    if (more === 0 || !this.#budget.spare(more)) return
    this.#held += more
    this.#window += more
    this.#credit += more
  }

  /** Gone: what waits to be read is all that is still held. */
  #releaseRest(): void {
    this.#release(this.#held - this.#received.length)
  }

  #release(bytes: number): void {
    this.#held -= bytes
    this.#budget.give(bytes)
  }
}
