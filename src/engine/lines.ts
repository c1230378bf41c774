/** Lines of a byte stream; a line past the limit ends the stream with an error, so that no peer can grow our memory. */
import type { Readable } from 'node:stream'

const MAX_LINE_BYTES = 1024 * 1024

export async function* readLines(stream: Readable): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const piece of stream) {
    if (!Buffer.isBuffer(piece)) throw new TypeError('expected bytes')
    let chunk = rest.length === 0 ? piece : Buffer.concat([rest, piece])
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10)) {
      const line = chunk.toString('utf8', 0, end).trim()
      chunk = chunk.subarray(end + 1)
      if (line !== '') yield line
    }
    if (chunk.length > MAX_LINE_BYTES) throw new RangeError('a line is too long')
    rest = Buffer.from(chunk)
  }
}
