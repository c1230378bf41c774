/**
 * The sending half of a channel (RFC 4254 §5.2). Data and stderr share one window, and keep their order: what does not fit
 * waits in one line. Bytes given are copied, straight into packets while window and connection allow.
 */
import type { Budget } from './budget.ts'
import { ByteQueue } from './byte-queue.ts'
import { DisconnectReason } from './packets.ts'
import type { Transport } from './transport.ts'

export const MAX_DATA = 32 * 1024
const MAX_WINDOW = 0xffffffff

export interface RemoteEnd {
  readonly id: number
  readonly window: number
  readonly packetSize: number
}

interface Segment {
  readonly fd: 1 | 2
  readonly bytes: ByteQueue
}

export class ChannelWriter {
  readonly #transport: Transport
  readonly #budget: Budget
  readonly #remote: number
  readonly #maxData: number
  readonly #drained: () => void
  readonly #waiting: Segment[] = []
  readonly #flushed: (() => void)[] = []
  #window: number
  #stopped = false
  /** `write` answered false. */
  #needsDrain = false
  /** Waiting for the connection. */
  #listening = false

  /** `drained` is told once after each false of `write`. */
  constructor(remote: RemoteEnd, transport: Transport, budget: Budget, drained: () => void) {
    this.#transport = transport
    this.#budget = budget
    this.#remote = remote.id
    this.#window = remote.window
    this.#maxData = Math.max(1, Math.min(MAX_DATA, remote.packetSize))
    this.#drained = drained
  }

  write(fd: 1 | 2, chunk: Buffer): boolean {
    if (this.#stopped) return true
    let sent = 0
    // What was begun is sent whole, window permitting: a piece over the connection's mark costs less than a copy that waits.
    if (this.#waiting.length === 0 && this.#canSend()) {
      while (sent < chunk.length && this.#window > 0 && !this.#transport.exchanging) {
        const from = sent
        sent += this.#send(fd, chunk.length - from, (target, at, size) => chunk.copy(target, at, from, from + size))
      }
    }
    if (sent < chunk.length) this.#queue(fd, sent > 0 ? chunk.subarray(sent) : chunk)
    if (this.#stopped || this.#ready()) return true
    this.#needsDrain = true
    this.#listen()
    return false
  }

  /** Tells when all that was written left, or cannot leave any more: now, if nothing waits. */
  whenFlushed(told: () => void): void {
    if (this.#waiting.length === 0) told()
    else this.#flushed.push(told)
  }

  /** WINDOW_ADJUST. */
  adjust(bytes: number): void {
    this.#window = Math.min(MAX_WINDOW, this.#window + bytes)
    this.#pump()
  }

  /** Drop what waits and what comes. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    for (const { bytes } of this.#waiting.splice(0)) this.#budget.give(bytes.length)
    this.#tellFlushed()
    if (!this.#needsDrain) return
    this.#needsDrain = false
    // A caller that waits for a drain must not wait for ever; not at once, for the caller is in the middle of closing.
    queueMicrotask(this.#drained)
  }

  #canSend(): boolean {
    return this.#window > 0 && this.#transport.writable
  }

  #ready(): boolean {
    return this.#waiting.length === 0 && this.#canSend()
  }

  /** One packet; returns how many bytes it took. */
  #send(fd: 1 | 2, available: number, fill: (target: Buffer, at: number, size: number) => void): number {
    const size = Math.min(available, this.#window, this.#maxData)
    this.#window -= size
    this.#transport.sendData(this.#remote, fd, size, (target, at) => fill(target, at, size))
    return size
  }

  /** The writer was asked to wait, but what was under way comes. Too much of that ends the connection. */
  #queue(fd: 1 | 2, chunk: Buffer): void {
    if (!this.#budget.take(chunk.length)) {
      this.#transport.disconnect(DisconnectReason.BY_APPLICATION, 'too much waits for you to read it')
      return
    }
    let segment = this.#waiting.at(-1)
    if (segment?.fd !== fd) {
      segment = { fd, bytes: new ByteQueue() }
      this.#waiting.push(segment)
    }
    segment.bytes.push(chunk)
  }

  /** The window grew, or the connection takes more. */
  #pump(): void {
    if (this.#stopped) return
    let segment = this.#waiting[0]
    while (segment && this.#canSend()) {
      const { fd, bytes } = segment
      const sent = this.#send(fd, bytes.length, (target, at, size) => bytes.copyTo(target, at, size))
      this.#budget.give(sent)
      if (bytes.length === 0) this.#waiting.shift()
      segment = this.#waiting[0]
    }
    if (segment) {
      this.#listen()
      return
    }
    this.#tellFlushed()
    if (!this.#needsDrain) return
    if (!this.#ready()) {
      this.#listen()
      return
    }
    this.#needsDrain = false
    this.#drained()
  }

  /** Wait for the connection; the window's growth comes by itself. */
  #listen(): void {
    if (this.#listening || this.#window === 0) return
    this.#listening = true
    this.#transport.whenWritable(() => {
      this.#listening = false
      this.#pump()
    })
  }

  #tellFlushed(): void {
    for (const told of this.#flushed.splice(0)) told()
  }
}
