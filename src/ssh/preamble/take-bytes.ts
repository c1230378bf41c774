/** Take the first bytes of a stream, as many as a parser wants, and leave the rest to the next reader. */
import type { Duplex } from 'node:stream'
import { onAbort } from '../../lifetime/on-abort.ts'

/** `taken`: how many are wanted in all; `need`: how many there must be before it is asked again. */
export type Enough = (bytes: Buffer) => { readonly taken: number } | { readonly need: number }

/**
 * Resolves with the bytes taken; the others are the stream's again. Rejects when it ends before, or the signal aborts.
 * Nothing is read while nobody waits, and the stream is left paused: `resume()` or a pipe goes on.
 */
export function take(stream: Duplex, enough: Enough, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    let need = 1

    const readable = () => {
      for (;;) {
        const chunk: Buffer | null = stream.read()
        if (chunk === null) return
        chunks.push(chunk)
        length += chunk.length
        if (length < need) continue
        const bytes = Buffer.concat(chunks)
        const answer = enough(bytes)
        if ('taken' in answer) {
          stop()
          if (answer.taken < length) stream.unshift(bytes.subarray(answer.taken))
          resolve(bytes.subarray(0, answer.taken))
          return
        }
        need = answer.need
      }
    }
    const ended = () => fail(new Error('closed before it was complete'))
    const fail = (error: unknown) => {
      stop()
      reject(error)
    }
    const stop = () => {
      stream.off('readable', readable).off('end', ended).off('close', ended).off('error', fail)
      remove()
    }

    if (signal.aborted) return reject(signal.reason)
    if (stream.destroyed) return reject(new Error('closed before it was complete'))
    const remove = onAbort(signal, fail)
    stream.on('readable', readable).on('end', ended).on('close', ended).on('error', fail)
    readable()
  })
}
