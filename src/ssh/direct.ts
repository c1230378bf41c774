/** Channels a client opens towards something inside: direct-tcpip (RFC 4254 §7.2), direct-streamlocal@openssh.com. */
import type { End } from '../bytes/relay.ts'
import {
  type ConnectionHandlers,
  type DirectTarget,
  MAX_PORT,
  type OpenFailure,
  type TakesChannel,
} from './connection.ts'
import type { PacketReader } from './packets.ts'

/** @param earlier what the client asked for before it has been done */
export async function openDirect(
  type: string,
  reader: PacketReader,
  handlers: ConnectionHandlers,
  earlier: Promise<void> | undefined,
  closed: AbortSignal,
): Promise<End | TakesChannel | OpenFailure> {
  const target = parseTarget(type, reader)
  if (!target) return { reason: 'unknown-type', message: 'unknown channel type' }
  // As serverloop.c server_request_direct_tcpip().
  if (target.kind === 'tcp' && target.port > MAX_PORT) return { reason: 'prohibited', message: 'there is no such port' }
  if (!handlers.direct) return { reason: 'prohibited', message: 'forwarding is not permitted' }
  if (earlier) await earlier
  if (closed.aborted) return { reason: 'connect-failed', message: 'the connection is gone' }
  return handlers.direct(target, closed)
}

function parseTarget(type: string, reader: PacketReader): DirectTarget | undefined {
  if (type === 'direct-tcpip') {
    const [host, port] = [reader.text(), reader.u32()]
    return { kind: 'tcp', host, port, originator: { address: reader.text(), port: reader.u32() } }
  }
  // Two reserved fields follow (PROTOCOL §2.4).
  if (type === 'direct-streamlocal@openssh.com') return { kind: 'unix', path: reader.text() }
  return undefined
}
