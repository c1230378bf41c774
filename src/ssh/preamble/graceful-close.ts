/** A last answer to a client that is not served. */
import type { Duplex } from 'node:stream'

const CLOSE_MS = 1_000

/**
 * Resolves when the client has it: closed while bytes of its own lie unread, TCP would reset the connection and the answer
 * with it, so they are read until the client closes too.
 */
export function farewell(stream: Duplex, text: string | Buffer): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, CLOSE_MS)
    function done(): void {
      clearTimeout(timer)
      stream.off('close', done).off('end', done)
      resolve()
    }
    stream.once('close', done).once('end', done)
    stream.end(text)
    stream.resume()
  })
}
