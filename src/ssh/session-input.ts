/** What a session's client sends, for one reader after the other: a stream (a question asked first), then a program. */
import { Readable } from 'node:stream'
import type { Channel } from './channel.ts'
import type { InputSink } from './session.ts'

const READ_AHEAD_BYTES = 16 * 1024

export class SessionInput {
  readonly stream: Readable
  readonly #channel: Channel
  /** The stream's reader asked for bytes and has not got them. */
  #wanted = false
  /** Takes them in the stream's place. */
  #sink: InputSink | undefined
  #stalled = false
  #sinkEnded = false

  constructor(channel: Channel) {
    this.#channel = channel
    this.stream = new Readable({
      highWaterMark: READ_AHEAD_BYTES,
      read: () => this.#read(),
      destroy: (error, done) => {
        channel.discard()
        done(error)
      },
    })
    this.stream.on('error', () => {})
  }

  /** Lent. False: not taken, it waits in the channel. */
  onData(bytes: Buffer): boolean {
    if (this.#sink) {
      if (this.#stalled) return false
      this.#stalled = !this.#sink.write(bytes)
      return true
    }
    if (!this.#wanted) return false
    this.#wanted = false
    this.stream.push(Buffer.from(bytes))
    return true
  }

  onEof(): void {
    if (this.#sink) this.#flow(this.#sink)
    else if (this.#wanted) {
      this.#wanted = false
      this.stream.push(null)
    }
  }

  /** The session reads no more: input that waits here and input that still comes is dropped. */
  drop(): void {
    this.stream.destroy()
  }

  pour(sink: InputSink): { resume(): void; stop(): void } {
    this.#sink = sink
    this.#flow(sink)
    return {
      resume: () => {
        this.#stalled = false
        if (this.#sink === sink) this.#flow(sink)
      },
      stop: () => {
        if (this.#sink !== sink) return
        this.#sink = undefined
        this.#stalled = false
        // The stream may have asked before, and what came since waits in the channel.
        if (!this.#wanted) return
        this.#wanted = false
        this.#read()
      },
    }
  }

  #read(): void {
    const bytes = this.#channel.read()
    if (bytes) this.stream.push(bytes)
    else if (this.#channel.ended) this.stream.push(null)
    else this.#wanted = true
  }

  #flow(sink: InputSink): void {
    const write = (bytes: Buffer) => {
      this.#stalled = !sink.write(bytes)
    }
    while (!this.#stalled) {
      const held: Buffer | null = this.stream.readableLength > 0 ? this.stream.read() : null
      if (held) write(held)
      else if (!this.#channel.lend(write)) break
    }
    if (this.#stalled || this.#sinkEnded || !this.#channel.ended) return
    this.#sinkEnded = true
    sink.end()
  }
}
