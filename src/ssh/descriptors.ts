/**
 * The last file descriptors are for clients that have connected already: a login reads its key files, a session talks to
 * the engine. And once there is none, nobody would know: libuv takes what connects and closes it without a word
 * (uv__emfile_trick), to node or to the client.
 */
import { readFileSync } from 'node:fs'
import type { Server, Socket } from 'node:net'
import type { Drop } from './admission.ts'

const MAX_RESERVED = 64
/** Of few. */
const RESERVED_SHARE = 1 / 4

/** Says of a connection that was just accepted whether it must be dropped. */
export function shortageOf(limit = ownLimit()): (socket: Socket) => Drop | undefined {
  const last = limit - Math.min(MAX_RESERVED, limit * RESERVED_SHARE)
  return (socket) => {
    // The kernel gives the lowest number that is free: all below are in use.
    const descriptor = numberOf(socket)
    if (descriptor === undefined || descriptor < last) return undefined
    return {
      reason: 'descriptors',
      detail: `${descriptor} of ${limit} file descriptors are in use: raise the limit (ulimit -n, LimitNOFILE=)`,
      text: 'The gateway has no file descriptors left; try again later\r\n',
    }
  }
}

/** @throws Error where node does not tell */
export function descriptorOf(listener: Server): number {
  const descriptor = numberOf(listener)
  if (descriptor === undefined) throw new Error('this node does not tell the descriptors of its sockets')
  return descriptor
}

function numberOf(socket: Socket | Server): number | undefined {
  const handle: unknown = Reflect.get(socket, '_handle')
  const descriptor: unknown = handle instanceof Object ? Reflect.get(handle, 'fd') : undefined
  return typeof descriptor === 'number' && descriptor >= 0 ? descriptor : undefined
}

/** RLIMIT_NOFILE; node has raised it as far as it may. */
function ownLimit(): number {
  try {
    const [, soft] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft)
  } catch {
    return Number.POSITIVE_INFINITY
  }
}
