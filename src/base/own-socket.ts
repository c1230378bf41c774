/** A unix socket that the gateway listens on: only whom its mode lets in connects, and one that a killed process left is replaced. */
import { lstatSync } from 'node:fs'
import { unlink } from 'node:fs/promises'
import type { Server } from 'node:net'
import { socketAnswers } from './socket-answers.ts'

/** sockaddr_un.sun_path, with its NUL. */
export const MAX_SOCKET_PATH_BYTES = 107

/**
 * @param umask takes bits from the mode 0777
 * @throws Error with the rest of a sentence that begins with the path: "is in use by another gateway"
 */
export async function listenOnSocket(server: Server, path: string, umask: number): Promise<void> {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) throw new Error(`is longer than ${MAX_SOCKET_PATH_BYTES} bytes`)
  await removeStaleSocket(path)
  await new Promise<void>((resolve, reject) => {
    const failed = (error: Error) => reject(new Error(`cannot be made (${error.message})`))
    server.once('error', failed)
    // bind() happens within listen(): nobody else can connect even for an instant.
    const before = process.umask(umask)
    try {
      server.listen(path, () => {
        server.off('error', failed)
        resolve()
      })
    } finally {
      process.umask(before)
    }
  })
}

/**
 * A gateway that was killed leaves its socket. One that answers is not ours to remove.
 *
 * @throws Error as listenOnSocket() does
 */
export async function removeStaleSocket(path: string): Promise<void> {
  if (await socketAnswers(path)) throw new Error('is in use by another gateway')
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket()) await unlink(path)
}
