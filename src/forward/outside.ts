/**
 * -L without the guest helper: from the gateway to the container's own address. What listens on its loopback only is out
 * of reach, and so is the rest of its network: connecting there from here would be another network than the container's.
 */
import { once } from 'node:events'
import { connect, isIP } from 'node:net'
import { HatchwayError } from '../base/errors.ts'
import { StreamEnd } from '../bytes/end-stream.ts'
import type { InsideEnd } from '../bytes/relay.ts'
import { type Container, type Engine, engineOf } from '../engine/engine.ts'
import { isTimeout, withDeadline } from '../lifetime/deadline.ts'
import { unlessAborted } from '../lifetime/on-abort.ts'

const CONNECT_LIMIT_MS = 5_000
const ONLY = 'without the guest helper'

/** @throws HatchwayError NOT_SUPPORTED with a sentence why */
export async function connectFromOutside(
  engine: Engine,
  container: Container,
  target: { readonly host: string; readonly port: number },
  signal: AbortSignal,
): Promise<InsideEnd> {
  if (!meansItself(target.host, container))
    throw unsupported(`${ONLY} only the container itself can be reached, as localhost`)
  // Another host's container addresses may be somebody else's here.
  if (!(await engineOf(engine, container.id).info(signal)).local)
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

async function open(host: string, port: number, signal: AbortSignal): Promise<InsideEnd> {
  const socket = connect({ host, port, allowHalfOpen: true, noDelay: true })
  try {
    await withDeadline(CONNECT_LIMIT_MS, [signal], (limit) => unlessAborted(once(socket, 'connect'), limit))
    return new StreamEnd(socket)
  } catch (cause) {
    socket.destroy()
    signal.throwIfAborted()
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    if (code === 'ECONNREFUSED')
      throw unsupported(`nothing listens on ${host}:${port}; ${ONLY} a loopback inside is out of reach`, cause)
    const why = isTimeout(cause) ? '' : ` (${code})`
    throw unsupported(`${host} cannot be reached from the gateway${why}`, cause)
  }
}

function unsupported(message: string, cause?: unknown): HatchwayError {
  return new HatchwayError('NOT_SUPPORTED', message, { cause })
}
