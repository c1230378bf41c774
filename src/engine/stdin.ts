/** A program's stdin over whatever carries it: an attached stream, a pipe, a terminal. */
import { Writable } from 'node:stream'

const EOT = Buffer.from([4])

/** Bytes for a program that is gone are dropped: how it ended is told by its exit, never by an 'error' here. */
export function createStdin(target: Writable, tty: boolean): Writable {
  const gone = () => target.destroyed || target.writableEnded
  return new Writable({
    // The target's buffer is the only one: a second would hide its backpressure.
    highWaterMark: 64 * 1024,
    write(chunk: Buffer, _encoding, done) {
      if (gone()) return done()
      target.write(chunk, () => done())
    },
    writev(chunks, done) {
      if (gone()) return done()
      target.cork()
      const last = chunks.length - 1
      chunks.forEach(({ chunk }, index) => {
        target.write(chunk, index === last ? () => done() : undefined)
      })
      target.uncork()
    },
    final(done) {
      if (gone()) return done()
      // Half-closing a terminal's stream makes Docker end the output while the program lives on.
      if (tty) target.write(EOT, () => done())
      else target.end(() => done())
    },
  })
}
