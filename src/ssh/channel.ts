/**
 * One channel (RFC 4254 §5): windows both ways, the order of what is sent, EOF and CLOSE. It copies what it is given,
 * straight into packets while window and connection allow, and holds back the rest; what it receives waits, within the
 * window, until somebody takes it. Who uses it (a session, a forwarded stream) is its owner.
 */
import { ByteQueue } from './byte-queue.ts'
import { Message, type PacketReader, packet } from './packets.ts'
import type { Transport } from './transport.ts'

export const MAX_DATA = 32 * 1024
/** sshd gives CHAN_SES_WINDOW_DEFAULT 64 packets. */
export const WINDOW = 64 * MAX_DATA
/** Give window back in steps of 8 packets. */
const CREDIT_STEP = 8 * MAX_DATA
const MAX_WINDOW = 0xffffffff
/** Of requests waiting for an answer: a few of the largest packets, or some thousand env requests. */
const MAX_REQUEST_BYTES = 1024 * 1024

export interface ChannelOwner {
  /** Bytes came. True: taken; false: they wait for `read`. */
  onData(bytes: Buffer): boolean
  /** The client sends no more. */
  onEof(): void
  /** Everything given to `write` left, and more may be given. */
  onDrained(): void
  /** A channel request, to be answered once, now or later: further requests wait until then. */
  onRequest(type: string, data: PacketReader, answer: (accepted: boolean) => void): void
  /** CLOSE, or the connection is gone. Called once. */
  onClosed(): void
}

export interface RemoteEnd {
  readonly id: number
  readonly window: number
  readonly packetSize: number
}

interface Segment {
  readonly fd: 1 | 2
  readonly bytes: ByteQueue
}

export class Channel {
  readonly id: number
  readonly #transport: Transport
  readonly #remote: number
  readonly #maxData: number
  readonly #window: number
  readonly #removed: (channel: Channel) => void
  #owner: ChannelOwner | undefined
  #finished: (() => void) | undefined
  /** Sending. */
  readonly #waiting: Segment[] = []
  #sendWindow: number
  #needsDrain = false
  #listening = false
  #muted = false
  #eofSent = false
  #closeSent = false
  readonly #flushed: (() => void)[] = []
  /** Receiving. */
  readonly #received = new ByteQueue()
  #receiveWindow: number
  #excess = 0
  #credit = 0
  #eofReceived = false
  #discarding = false
  #gone = false
  /** Requests. */
  readonly #requests: { readonly type: string; readonly wantReply: boolean; readonly data: PacketReader }[] = []
  #requestBytes = 0
  #answering = false

  constructor(id: number, window: number, remote: RemoteEnd, transport: Transport, removed: (c: Channel) => void) {
    this.id = id
    this.#window = this.#receiveWindow = window
    this.#remote = remote.id
    this.#sendWindow = remote.window
    this.#maxData = Math.max(1, Math.min(MAX_DATA, remote.packetSize))
    this.#transport = transport
    this.#removed = removed
  }

  own(owner: ChannelOwner): void {
    this.#owner = owner
  }

  /** Told once, when no more can be sent. */
  onFinished(finished: () => void): void {
    this.#finished = finished
  }

  /** No more can be sent: closed by either end, or the connection is gone. */
  get finished(): boolean {
    return this.#closeSent || this.#gone
  }

  get gone(): boolean {
    return this.#gone
  }

  /** 1 data, 2 extended data (stderr). The chunk is copied; false: wait for `onDrained`. */
  write(fd: 1 | 2, chunk: Buffer): boolean {
    if (this.finished || this.#eofSent || this.#muted) return true
    let sent = 0
    if (this.#waiting.length === 0) {
      while (sent < chunk.length && this.#canSend()) {
        const from = sent
        const size = Math.min(chunk.length - from, this.#sendWindow, this.#maxData)
        this.#sendWindow -= size
        this.#transport.sendData(this.#remote, fd, size, (target, at) => {
          chunk.copy(target, at, from, from + size)
        })
        sent += size
      }
    }
    if (sent < chunk.length) this.#queue(fd, sent > 0 ? chunk.subarray(sent) : chunk)
    if (this.#ready()) return true
    this.#needsDrain = true
    this.#listen()
    return false
  }

  /** Resolves when all that was written left, or cannot leave any more. */
  flushed(): Promise<void> {
    if (this.finished || this.#waiting.length === 0) return Promise.resolve()
    return new Promise((resolve) => this.#flushed.push(resolve))
  }

  /** After `flushed`. */
  sendEof(): void {
    if (this.finished || this.#eofSent) return
    this.#eofSent = true
    this.#transport.send(packet(Message.CHANNEL_EOF, this.#remote))
  }

  /** A request without a reply: exit-status, eow@openssh.com. */
  sendRequest(type: string, data: Buffer): void {
    if (this.finished) return
    this.#transport.send(packet(Message.CHANNEL_REQUEST, this.#remote, type, false, { raw: data }))
  }

  /** What is not yet sent is dropped. */
  close(): void {
    if (this.finished) return
    this.#closeSent = true
    this.#transport.send(packet(Message.CHANNEL_CLOSE, this.#remote))
    this.#finish()
    this.discard()
  }

  /** eow@openssh.com: the client reads no more; what is written is dropped. */
  mute(): void {
    this.#muted = true
    this.#dropUnsent()
  }

  /** The next bytes received, or undefined. Taking them gives window back. */
  read(): Buffer | undefined {
    if (this.#received.length === 0) return undefined
    const bytes = this.#received.shift()
    this.#give(bytes.length)
    return bytes
  }

  get eofReceived(): boolean {
    return this.#eofReceived
  }

  /** There is an EOF, and nothing before it is left. */
  get ended(): boolean {
    return this.#eofReceived && this.#received.length === 0
  }

  /** Nobody reads: drop what is here and what comes, as sshd does, with the window going on. */
  discard(): void {
    this.#discarding = true
    const { length } = this.#received
    this.#received.clear()
    if (length > 0) this.#give(length)
  }

  // From the connection, one method for each message.

  /** False: the client ignored our window by more than sshd forgives (channels.c: a tenth). */
  receive(data: Buffer): boolean {
    if (data.length > this.#receiveWindow) {
      this.#excess += data.length - this.#receiveWindow
      if (this.#excess > this.#window / 10) return false
    }
    this.#receiveWindow = Math.max(0, this.#receiveWindow - data.length)
    const taken = this.#discarding || this.#eofReceived || (this.#received.length === 0 && this.#owner?.onData(data))
    if (taken) this.#give(data.length)
    else this.#received.push(data)
    return true
  }

  /** Extended data from a client has no meaning; its window goes back. */
  receiveExtended(length: number): void {
    this.#receiveWindow = Math.max(0, this.#receiveWindow - length)
    this.#give(length)
  }

  receiveEof(): void {
    if (this.#eofReceived || this.#gone) return
    this.#eofReceived = true
    this.#owner?.onEof()
  }

  receiveClose(): void {
    if (!this.#closeSent) this.#transport.send(packet(Message.CHANNEL_CLOSE, this.#remote))
    this.#closeSent = true
    this.end()
  }

  adjustWindow(bytes: number): void {
    this.#sendWindow = Math.min(MAX_WINDOW, this.#sendWindow + bytes)
    this.#pump()
  }

  /** False: more requests ahead of our answers than anybody needs. */
  receiveRequest(type: string, wantReply: boolean, data: PacketReader): boolean {
    if (this.#answering) {
      this.#requestBytes += data.left + 64
      if (this.#requestBytes > MAX_REQUEST_BYTES) return false
    }
    this.#requests.push({ type, wantReply, data })
    this.#answer()
    return true
  }

  /** The connection is gone, or both ends closed. */
  end(): void {
    if (this.#gone) return
    this.#gone = true
    this.#finish()
    this.#requests.length = 0
    this.#removed(this)
    this.#owner?.onClosed()
  }

  #canSend(): boolean {
    return this.#sendWindow > 0 && this.#transport.writable
  }

  #ready(): boolean {
    return this.#waiting.length === 0 && this.#canSend()
  }

  #queue(fd: 1 | 2, chunk: Buffer): void {
    let segment = this.#waiting.at(-1)
    if (segment?.fd !== fd) {
      segment = { fd, bytes: new ByteQueue() }
      this.#waiting.push(segment)
    }
    segment.bytes.push(chunk)
  }

  /** Called when the window grew or the connection took more. */
  #pump(): void {
    if (this.finished) return
    let segment = this.#waiting[0]
    while (segment && this.#canSend()) {
      const { fd, bytes } = segment
      const size = Math.min(bytes.length, this.#sendWindow, this.#maxData)
      this.#sendWindow -= size
      this.#transport.sendData(this.#remote, fd, size, (target, at) => bytes.copyTo(target, at, size))
      if (bytes.length === 0) this.#waiting.shift()
      segment = this.#waiting[0]
    }
    if (segment) {
      this.#listen()
      return
    }
    for (const resolve of this.#flushed.splice(0)) resolve()
    if (!this.#needsDrain) return
    if (!this.#ready()) {
      this.#listen()
      return
    }
    this.#needsDrain = false
    this.#owner?.onDrained()
  }

  /** Wait for the connection; the window's growth comes by itself. */
  #listen(): void {
    if (this.#listening || this.#sendWindow === 0) return
    this.#listening = true
    this.#transport.whenWritable(() => {
      this.#listening = false
      this.#pump()
    })
  }

  #finish(): void {
    this.#dropUnsent()
    this.#finished?.()
    this.#finished = undefined
  }

  #dropUnsent(): void {
    this.#waiting.length = 0
    for (const resolve of this.#flushed.splice(0)) resolve()
    if (!this.#needsDrain) return
    this.#needsDrain = false
    // Who waits for a drain must not wait for ever.
    queueMicrotask(() => this.#owner?.onDrained())
  }

  #give(bytes: number): void {
    this.#credit += bytes
    if (this.#credit < Math.min(CREDIT_STEP, this.#window / 2) || this.finished || this.#eofReceived) return
    this.#receiveWindow += this.#credit
    this.#transport.send(packet(Message.CHANNEL_WINDOW_ADJUST, this.#remote, this.#credit))
    this.#credit = 0
  }

  /** One request after the other: replies have no number, their order is all a client has (RFC 4254 §5.4). */
  #answer(): void {
    while (!this.#answering && !this.#gone) {
      const request = this.#requests.shift()
      if (!request) return
      let waiting = true
      let returned = false
      this.#answering = true
      const answer = (accepted: boolean) => {
        if (!waiting) return
        waiting = false
        this.#answering = false
        if (request.wantReply && !this.finished) this.#reply(accepted)
        if (returned) this.#answer()
      }
      if (this.#owner) this.#owner.onRequest(request.type, request.data, answer)
      else answer(false)
      returned = true
    }
    if (!this.#answering) this.#requestBytes = 0
  }

  #reply(accepted: boolean): void {
    this.#transport.send(packet(accepted ? Message.CHANNEL_SUCCESS : Message.CHANNEL_FAILURE, this.#remote))
  }
}
