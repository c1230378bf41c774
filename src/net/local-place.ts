/** A place that only this machine reaches: a loopback port, or a unix socket. */
import type { Server as HttpServer } from 'node:http'
import type { AddressInfo, Server } from 'node:net'
import { at } from '../base/connection-facts.ts'
import { HatchwayError, messageOf } from '../base/errors.ts'
import { listenAdvice } from '../base/listen-advice.ts'
import { listenOnSocket } from '../base/own-socket.ts'

export type LocalPlace =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

/**
 * Returns where it listens: "127.0.0.1:9464", "unix:/run/hatchway/metrics.sock".
 *
 * @param key of the configuration, for the sentence
 * @param umask of a socket
 * @throws HatchwayError CONFIG_INVALID
 */
export async function listenLocally(server: Server, place: LocalPlace, key: string, umask: number): Promise<string> {
  const unusable = (what: string, cause: unknown) => new HatchwayError('CONFIG_INVALID', `${key}: ${what}`, { cause })
  if (place.kind === 'unix') {
    await listenOnSocket(server, place.path, umask).catch((error: unknown) => {
      throw unusable(`${place.path} ${messageOf(error)}`, error)
    })
    return `unix:${place.path}`
  }
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) =>
      reject(unusable(`${messageOf(error)}: ${listenAdvice(error.code, place.port, key)}`, error))
    server.once('error', failed)
    server.listen(place.port, place.host, () => {
      server.off('error', failed)
      resolve(at(server.address() as AddressInfo))
    })
  })
}

/** Ends the server and its connections, whatever they are at; resolves when all are gone. Idempotent. */
export function closingOnce(server: HttpServer): () => Promise<void> {
  let closed: Promise<void> | undefined
  return () => {
    closed ??= new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
    return closed
  }
}
