/** The lines of a file, read in pieces: a trail is larger than memory should be. */
import { open } from 'node:fs/promises'
import { isErrno } from '../../base/errors.ts'

const PIECE_BYTES = 1024 * 1024
/** Of a line: more is none of ours, and is not read as one. */
const MAX_LINE_BYTES = 8 * 1024 * 1024

export interface FileLine {
  /** Without its newline; only until the next one is asked for. */
  readonly line: Buffer
  /** False: the file ends without a newline. */
  readonly whole: boolean
}

/** @param mayLack right after a rotation the file that is written is not there yet */
export async function* readTrailLines(path: string, mayLack = false): AsyncGenerator<FileLine> {
  for await (const { piece, whole } of readPieces(path, mayLack)) {
    for (let start = 0; start < piece.length; ) {
      const lineEnd = piece.indexOf(10, start)
      const isWhole = lineEnd >= 0
      yield { line: piece.subarray(start, isWhole ? lineEnd : piece.length), whole: isWhole || whole }
      start = isWhole ? lineEnd + 1 : piece.length
    }
  }
}

export interface FilePiece {
  /** Whole lines, the last one perhaps without its newline at the end of the file; only until the next is asked for. */
  readonly piece: Buffer
  readonly whole: boolean
}

/** @throws errno */
export async function* readPieces(path: string, mayLack = false): AsyncGenerator<FilePiece> {
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
        if (filled > 0) yield { piece: buffer.subarray(0, filled), whole: false }
        return
      }
      const lineEnd = buffer.lastIndexOf(10, filled - 1)
      if (lineEnd >= 0) {
        yield { piece: buffer.subarray(0, lineEnd + 1), whole: true }
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
