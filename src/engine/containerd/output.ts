/** A program's stdout or stderr, read from a named pipe by one static buffer: chunks are lent, never allocated. */
import net from 'node:net'

export interface FifoOutput {
  /** After `data` has returned false. */
  resume(): void
  /** Idempotent; `end` is called. */
  close(): void
}

/** libuv reads and calls back in one go, so that one buffer serves all. */
const SHARED = Buffer.allocUnsafeSlow(64 * 1024)

/**
 * @param fd opened already, and closed by this; the other side must have been opened, or it ends at once
 * @param data false pauses
 * @param end once: nobody writes any more, or it was closed
 */
export function readFifo(fd: number, data: (chunk: Buffer) => boolean, end: () => void): FifoOutput {
  const onread: net.OnReadOpts = { buffer: SHARED, callback: (length) => data(SHARED.subarray(0, length)) }
  // Its type has no `onread`, which is documented for connections alone.
  const options = { fd, readable: true, writable: false, onread }
  const socket = new net.Socket(options)
  // A pipe's only error is that of a closed descriptor.
  socket.on('error', () => {})
  socket.on('end', () => socket.destroy())
  socket.once('close', end)
  return {
    resume: () => void socket.resume(),
    close: () => void socket.destroy(),
  }
}
