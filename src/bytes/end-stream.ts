/** A node stream as an end of a forwarded connection, and an end as a stream, for what speaks only the one of them. */
import { Duplex } from 'node:stream'
import type { End, Heard, InsideEnd } from './relay.ts'
import { Traffic } from './traffic.ts'

/** A stream that half-closes both ways as one end. */
export class StreamEnd implements InsideEnd {
  readonly traffic = new Traffic()
  readonly #stream: Duplex

  constructor(stream: Duplex) {
    this.#stream = stream
    // It says no more than 'close' does; unheard it would end the process.
    stream.on('error', () => {})
  }

  listen(heard: Heard): void {
    const stream = this.#stream
    stream.on('data', (bytes: Buffer) => {
      this.traffic.addOut(bytes.length)
      if (!heard.data(bytes)) stream.pause()
    })
    stream.on('end', () => heard.ended())
    stream.on('drain', () => heard.drained())
    stream.on('finish', () => heard.finished())
    this.whenClosed(() => heard.closed())
  }

  write(bytes: Buffer): boolean {
    if (!this.#stream.writable) return true
    this.traffic.addIn(bytes.length)
    return this.#stream.write(Buffer.from(bytes))
  }

  get unsent(): number {
    return this.#stream.writableLength
  }

  end(): void {
    this.#stream.end()
  }

  resume(): void {
    this.#stream.resume()
  }

  destroy(): void {
    this.#stream.destroy()
  }

  whenClosed(told: () => void): void {
    if (this.#stream.closed) told()
    else this.#stream.once('close', told)
  }
}

/** Half-closes both ways. It is destroyed, without an error, when the end is over before it said that it sends no more. */
export function streamOf(end: End): Duplex {
  let written: (() => void) | undefined
  let ended = false
  const drained = () => {
    const done = written
    written = undefined
    done?.()
  }
  const stream = new Duplex({
    allowHalfOpen: true,
    read: () => end.resume(),
    write(chunk: Buffer, _encoding, done) {
      if (end.write(chunk)) done()
      else written = done
    },
    final(done) {
      end.end()
      done()
    },
    destroy(error, done) {
      end.destroy()
      done(error)
    },
  })
  // A stream nobody listens to must not end the process.
  stream.on('error', () => {})
  end.listen({
    data: (bytes) => stream.push(Buffer.from(bytes)),
    ended() {
      ended = true
      stream.push(null)
    },
    drained,
    finished: () => {},
    closed() {
      if (!ended) stream.destroy()
      drained()
    },
  })
  return stream
}
