/** Where a gateway is reached, as a person writes it: HOST, HOST:PORT, [V6]:PORT. Pure. */
import { isIPv6 } from 'node:net'

export interface GatewayAddress {
  readonly host: string
  /** Undefined: not said. */
  readonly port: number | undefined
}

/** What ssh, its configuration and known_hosts take for a host and for nothing else: no option, pattern, blank or quote. */
const HOST = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,252}$/
const ADDRESS = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::([1-9]\d{0,4}))?$/

/** Undefined: it is no address of a gateway. */
export function parseGatewayAddress(text: string): GatewayAddress | undefined {
  const [, v6, name, digits] = ADDRESS.exec(text) ?? []
  const host = v6 ?? name
  const port = digits === undefined ? undefined : Number(digits)
  if (host === undefined || (port ?? 1) > 65_535) return undefined
  const isGood = v6 === undefined ? HOST.test(host) : isIPv6(host) && !host.includes('%')
  return isGood ? { host, port } : undefined
}
