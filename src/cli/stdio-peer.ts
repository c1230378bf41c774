/** Finds where a connection on standard streams comes from. */
import { isIP } from 'node:net'
import { plainAddress, UNKNOWN_ADDRESS } from '../net/address.ts'
import type { Endpoint } from '../ssh/connection.ts'

export interface Ends {
  readonly remote: Endpoint
  readonly local: Endpoint
}

/** As sshd -i has it. No `from=` and no network of a rule matches it. */
const UNKNOWN: Endpoint = { address: UNKNOWN_ADDRESS, port: 65535 }

/** The addresses of a socket, as node names them; absent on a pipe, a file or a unix socket. */
interface MaybeSocket {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
}

/**
 * Returns the peer of a socket on stdin (inetd, systemd's Accept=yes); else the client in SSH_CONNECTION, which sshd
 * sets for its sessions; else UNKNOWN: a pipe may lead anywhere, also off this machine.
 *
 * @param connection SSH_CONNECTION: "client-address client-port server-address server-port"
 */
export function stdioEnds(stdin: MaybeSocket, connection: string | undefined): Ends {
  const socket = endpoints(stdin.remoteAddress, stdin.remotePort, stdin.localAddress, stdin.localPort)
  if (socket) return socket
  const [address, port, localAddress, localPort] = (connection ?? '').split(' ')
  return endpoints(address, Number(port), localAddress, Number(localPort)) ?? { remote: UNKNOWN, local: UNKNOWN }
}

function endpoints(
  address: string | undefined,
  port: number | undefined,
  localAddress: string | undefined,
  localPort: number | undefined,
): Ends | undefined {
  if (!address || !localAddress || isIP(address) === 0 || isIP(localAddress) === 0) return undefined
  return {
    remote: { address: plainAddress(address), port: port || 0 },
    local: { address: plainAddress(localAddress), port: localPort || 0 },
  }
}
