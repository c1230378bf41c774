/**
 * -L without the guest helper: from the gateway to the container's own address. What listens on its loopback only is out
 * of reach, and so is the rest of its network: connecting there from here would be another network than the container's.
 */
import { connect, isIP } from 'node:net'
import { StreamEnd } from '../end-stream.ts'
import type { Container, Engine } from '../engine/engine.ts'
import { HatchwayError } from '../errors.ts'
import type { End } from '../relay.ts'

const CONNECT_LIMIT = 5_000
const ONLY = 'without the guest helper'

/** @throws HatchwayError NOT_SUPPORTED with a sentence why */
export async function connectFromOutside(
  engine: Engine,
  container: Container,
  target: { readonly host: string; readonly port: number },
  signal: AbortSignal,
): Promise<End> {
  if (!meansItself(target.host, container))
    throw unsupported(`${ONLY} only the container itself can be reached, as localhost`)
  // Another host's container addresses may be somebody else's here.
  if (!(await engine.info(signal)).local)
    throw unsupported(`${ONLY} nothing in a container of a remote engine can be reached`)
  const address = container.addresses.find((one) => !isLoopback(one))
  if (address === undefined) throw unsupported(`${ONLY} it cannot be reached: it has no address of its own`)
  return open(address, target.port, signal)
}

function meansItself(host: string, { name, addresses }: Container): boolean {
  return host === 'localhost' || host === name || isLoopback(host) || addresses.includes(host)
}

function isLoopback(host: string): boolean {
  return host === '::1' || (isIP(host) === 4 && (host.startsWith('127.') || host === '0.0.0.0'))
}

function open(host: string, port: number, signal: AbortSignal): Promise<End> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true })
    const fail = (error: Error) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', aborted)
      socket.destroy()
      reject(error)
    }
    const aborted = () => fail(signal.reason)
    const timer = setTimeout(() => fail(unsupported(`${host} cannot be reached from the gateway`)), CONNECT_LIMIT)
    signal.addEventListener('abort', aborted, { once: true })
    socket.once('error', (cause: NodeJS.ErrnoException) => {
      const why =
        cause.code === 'ECONNREFUSED'
          ? `nothing listens on ${host}:${port}; ${ONLY} a loopback inside is out of reach`
          : `${host} cannot be reached from the gateway (${cause.code})`
      fail(unsupported(why, cause))
    })
    socket.once('connect', () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', aborted)
      socket.removeAllListeners('error')
      resolve(new StreamEnd(socket))
    })
  })
}

function unsupported(message: string, cause?: unknown): HatchwayError {
  return new HatchwayError('NOT_SUPPORTED', message, { cause })
}
