/** Joins two standard streams to one Duplex. */
import { Duplex, type Readable, type Writable } from 'node:stream'

/**
 * A write's callback means that its bytes have left `output`. Duplex.from() calls back as soon as `output` has room,
 * before the bytes are written, and the writer may have used their memory again by then.
 */
export function joinStdio(input: Readable, output: Writable): Duplex {
  const stream = new Duplex({
    read: () => void input.resume(),
    write: (chunk: Buffer, encoding, done) => void output.write(chunk, encoding, done),
    final: (done) => void output.end(() => done()),
    destroy(error, done) {
      input.destroy()
      if (!output.writableFinished) output.destroy()
      done(error)
    },
  })
  input.on('data', (chunk: Buffer) => {
    if (!stream.push(chunk)) input.pause()
  })
  input.on('end', () => stream.push(null))
  for (const one of [input, output]) one.on('error', (error) => stream.destroy(error))
  return stream
}
