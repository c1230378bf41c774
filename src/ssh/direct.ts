/** Channels a client opens towards something inside: direct-tcpip (RFC 4254 §7.2), direct-streamlocal@openssh.com. */
import type { Duplex } from 'node:stream'
import type { ConnectionHandlers, DirectTarget, OpenFailure, TakesChannel } from './connection.ts'
import type { PacketReader } from './packets.ts'

/** For the last bytes to a side that reads slowly, once the other side is gone. */
const FLUSH_LIMIT = 60_000

export async function openDirect(
  type: string,
  reader: PacketReader,
  handlers: ConnectionHandlers,
  closed: AbortSignal,
): Promise<Duplex | TakesChannel | OpenFailure> {
  const target = parseTarget(type, reader)
  if (!target) return { reason: 'unknown-type', message: 'unknown channel type' }
  if (!handlers.direct) return { reason: 'prohibited', message: 'forwarding is not permitted' }
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

/** Bytes both ways, an end on one side ends writing on the other; a broken side breaks both. */
export function joinStreams(one: Duplex, other: Duplex): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.pipe(to)
    from.on('error', () => to.destroy())
    from.on('close', () => {
      // Nothing can be written to `from` any more; what it sent in full may still leave.
      if (!from.readableEnded || to.writableFinished) return to.destroy()
      const timer = setTimeout(() => to.destroy(), FLUSH_LIMIT)
      to.once('finish', () => to.destroy())
      to.once('close', () => clearTimeout(timer))
    })
  }
}
