/** Docker's attached stream without a terminal: frames of [fd, 0, 0, 0, length (4, big endian)] and payload. */
import type { OutputFd } from '../engine.ts'

export interface Demux {
  /** False when a write answered false. Throws RangeError on bytes that are no such stream. */
  feed(chunk: Buffer): boolean
}

/** Payloads are handed on as views of `chunk`: nothing is copied or allocated per byte, whatever the frame lengths claim. */
export function createDemux(write: (fd: OutputFd, chunk: Buffer) => boolean): Demux {
  const header = Buffer.alloc(8)
  let have = 0
  let left = 0
  let fd: OutputFd = 1

  return {
    feed(chunk) {
      let more = true
      let at = 0
      while (at < chunk.length) {
        if (left > 0) {
          const end = Math.min(chunk.length, at + left)
          if (!write(fd, at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end))) more = false
          left -= end - at
          at = end
          continue
        }
        while (have < 8 && at < chunk.length) header[have++] = chunk[at++] ?? 0
        if (have < 8) break
        have = 0
        // 0 is stdin echoed back by old engines, 3 the engine's own error text: both are words, shown as what they are.
        if ((header[0] ?? 255) > 3 || header[1] !== 0 || header[2] !== 0 || header[3] !== 0) {
          throw new RangeError('the attached stream is not in frames')
        }
        fd = (header[0] ?? 0) >= 2 ? 2 : 1
        left = header.readUInt32BE(4)
      }
      return more
    },
  }
}
