/** A file of lines, read in pieces: a trail is larger than memory should be. */
import { open } from 'node:fs/promises'
import { isErrno } from '../../base/errors.ts'

const PIECE_BYTES = 1024 * 1024
/** Of a line: more is none of ours, and is not read as one. */
const MAX_LINE_BYTES = 8 * 1024 * 1024

/**
 * Whole lines each, the last one perhaps without its newline at the end of the file; only until the next is asked for.
 *
 * @param mayLack right after a rotation the file that is written is not there yet
 * @throws errno
 */
export async function* readPieces(path: string, mayLack = false): AsyncGenerator<Buffer> {
  const handle = await open(path, 'r').catch((error: unknown) => {
    if (mayLack && isErrno(error, 'ENOENT')) return undefined
    throw error
  })
  if (!handle) return
  try {
    let buffer = Buffer.allocUnsafe(PIECE_BYTES)
    let filled = 0
    for (;;) {
      const { bytesRead } = await handle.read(buffer, filled, buffer.length - filled)
      filled += bytesRead
      if (bytesRead === 0) {
        if (filled > 0) yield buffer.subarray(0, filled)
        return
      }
      const lineEnd = buffer.lastIndexOf(10, filled - 1)
      if (lineEnd >= 0) {
        yield buffer.subarray(0, lineEnd + 1)
        buffer.copyWithin(0, lineEnd + 1, filled)
        filled -= lineEnd + 1
      } else if (filled === buffer.length) {
        if (buffer.length >= MAX_LINE_BYTES) throw new Error(`${path} has a line that is no record of a trail`)
        buffer = Buffer.concat([buffer, Buffer.alloc(buffer.length)])
      }
    }
  } finally {
    await handle.close()
  }
}
