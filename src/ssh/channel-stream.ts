/** A channel as a node stream that half-closes both ways: what carries one more SSH connection (ssh -J). */
import { Duplex } from 'node:stream'
import type { Channel, ChannelOwner } from './channel.ts'
import type { PacketReader } from './packets.ts'

const READ_AHEAD = 64 * 1024

export class ChannelStream extends Duplex implements ChannelOwner {
  readonly #channel: Channel
  #wanted = false
  #written: (() => void) | undefined

  constructor(channel: Channel) {
    super({ allowHalfOpen: true, readableHighWaterMark: READ_AHEAD, writableHighWaterMark: READ_AHEAD })
    this.#channel = channel
    channel.own(this)
    // A stream nobody listens to must not end the process.
    this.on('error', () => {})
  }

  // The stream's side.

  override _read(): void {
    const bytes = this.#channel.read()
    if (bytes) this.push(bytes)
    else if (this.#channel.ended || this.#channel.gone) this.#endReading()
    else this.#wanted = true
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#channel.finished) {
      done()
      return
    }
    if (this.#channel.write(1, chunk)) {
      done()
      return
    }
    this.#written = () => done()
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#channel.whenFlushed(() => {
      this.#channel.sendEof()
      done()
    })
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#channel.close()
    this.#takeWritten()
    done(error)
  }

  // The channel's side.

  onData(bytes: Buffer): boolean {
    if (!this.#wanted) return false
    this.#wanted = false
    // Lent; a Readable keeps what it is given.
    this.push(Buffer.from(bytes))
    return true
  }

  onEof(): void {
    if (this.#wanted) this.#endReading()
  }

  onDrained(): void {
    this.#takeWritten()
  }

  onRequest(_type: string, _data: PacketReader, answer: (accepted: boolean) => void): void {
    answer(false)
  }

  onClosed(forced: boolean): void {
    if (forced) {
      this.destroy()
      return
    }
    // What came before CLOSE may still be read; writing is over.
    this.#takeWritten()
    if (!this.writableEnded) this.end()
    if (this.#wanted) this.#endReading()
  }

  #endReading(): void {
    this.#wanted = false
    this.push(null)
  }

  #takeWritten(): void {
    const written = this.#written
    this.#written = undefined
    written?.()
  }
}
