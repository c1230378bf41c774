/** Requests of one channel: one after the other, for replies have no number and their order is all a client has. */
import type { PacketReader } from './packets.ts'

/** Of requests waiting for an answer: a few of the largest packets, or some thousand env requests. */
const MAX_WAITING_BYTES = 1024 * 1024
/** What a request costs besides its bytes. */
const OVERHEAD_BYTES = 64

interface Request {
  readonly type: string
  readonly wantReply: boolean
  readonly data: PacketReader
}

export interface RequestHandler {
  /** To be answered once, now or later. */
  handle(type: string, data: PacketReader, answer: (accepted: boolean) => void): void
  reply(accepted: boolean): void
  /** Bytes that wait. False: the client's identity has too much already. */
  hold(bytes: number): boolean
  release(bytes: number): void
  /** A request that waited threw: the caller that answered the one before it is not to be told. */
  broken(error: unknown): void
}

export class RequestQueue {
  readonly #handler: RequestHandler
  readonly #waiting: Request[] = []
  #waitingBytes = 0
  #answering = false
  #stopped = false

  constructor(handler: RequestHandler) {
    this.#handler = handler
  }

  /** False: more requests ahead of our answers than any client needs. */
  add(type: string, wantReply: boolean, data: PacketReader): boolean {
    if (this.#answering) {
      const bytes = data.size + OVERHEAD_BYTES
      if (this.#waitingBytes + bytes > MAX_WAITING_BYTES || !this.#handler.hold(bytes)) return false
      this.#waitingBytes += bytes
    }
    this.#waiting.push({ type, wantReply, data })
    this.#next()
    return true
  }

  stop(): void {
    this.#stopped = true
    this.#waiting.length = 0
    this.#release()
  }

  #next(): void {
    while (!this.#answering && !this.#stopped) {
      const request = this.#waiting.shift()
      if (!request) break
      this.#ask(request)
    }
    if (!this.#answering) this.#release()
  }

  #release(): void {
    if (this.#waitingBytes > 0) this.#handler.release(this.#waitingBytes)
    this.#waitingBytes = 0
  }

  #resume(): void {
    try {
      this.#next()
    } catch (error) {
      this.#handler.broken(error)
    }
  }

  #ask({ type, wantReply, data }: Request): void {
    let answered = false
    let returned = false
    this.#answering = true
    this.#handler.handle(type, data, (accepted) => {
      if (answered) return
      answered = true
      this.#answering = false
      if (wantReply) this.#handler.reply(accepted)
      // While `handle` still runs, the loop above goes on by itself.
      if (returned) this.#resume()
    })
    returned = true
  }
}
