/** A program's stdin over whatever carries it: an attached stream, a pipe, a terminal. */
import { Writable } from 'node:stream'
import { SlabOutput } from '../bytes/batched-writer.ts'

const EOT = Buffer.from([4])
const HIGH_WATER_BYTES = 256 * 1024

/** Bytes for a program that is gone are dropped: how it ended is told by its exit, never by an 'error' here. */
export function createStdin(target: Writable, tty: boolean): Writable {
  let waiting: (() => void) | undefined
  const drained = () => {
    const done = waiting
    waiting = undefined
    done?.()
  }
  const output = new SlabOutput(target, drained, HIGH_WATER_BYTES)
  const gone = () => target.destroyed || target.writableEnded
  const stdin = new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (gone()) return done()
      output.write(chunk)
      if (output.congested) waiting = done
      else done()
    },
    final(done) {
      if (gone()) return done()
      output.flush()
      // Half-closing a terminal's stream makes Docker end the output while the program lives on.
      if (tty) target.write(EOT, () => done())
      // Not now, which may be in the middle of what target reads: a TLS socket that is ended there reads no more (node 20).
      else setImmediate(() => target.end(() => done()))
    },
  })
  // A write after its end is the only one there is.
  stdin.on('error', () => {})
  return stdin
}
