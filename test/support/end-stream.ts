/** An end of a forwarded connection as a node stream, for tests. */
import { Duplex } from 'node:stream'
import type { End } from '../../src/relay.ts'

/** Its error, when it is over before it said that it sends no more, is "over". */
export function streamOf(end: End): Duplex {
  let written: (() => void) | undefined
  let ended = false
  const stream = new Duplex({
    allowHalfOpen: true,
    // Asked for bytes: told of them only from then on.
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
  end.listen({
    data: (bytes) => stream.push(Buffer.from(bytes)),
    ended: () => {
      ended = true
      stream.push(null)
    },
    drained: () => written?.(),
    finished: () => {},
    closed: () => {
      if (!ended && !stream.destroyed) stream.destroy(new Error('over'))
    },
  })
  return stream
}
