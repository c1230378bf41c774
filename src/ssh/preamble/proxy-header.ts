/**
 * The PROXY protocol's header, versions 1 and 2 (haproxy.org, proxy-protocol.txt): whom a proxy in front of us speaks
 * for. Read only from proxies that are listed, for anybody can write one.
 */
import { isIPv4, isIPv6 } from 'node:net'
import type { Endpoint } from '../connection.ts'

export type ProxyHeader =
  /** Right so far; the rest cannot be judged before there are that many bytes. */
  | { readonly kind: 'incomplete'; readonly need: number }
  | { readonly kind: 'invalid'; readonly reason: string }
  /**
   * `length` bytes, and then the client's own. Without ends: the proxy speaks for itself, or cannot say (LOCAL, UNKNOWN).
   */
  | { readonly kind: 'complete'; readonly length: number; readonly ends?: Ends }

interface Ends {
  readonly source: Endpoint
  readonly destination: Endpoint
}

const V1 = Buffer.from('PROXY ')
/** Longest line of version 1, its CR LF included. */
const V1_BYTES = 107
const V2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n')
const V2_FIXED_BYTES = 16

export function parseProxyHeader(bytes: Buffer): ProxyHeader {
  if (startsAs(bytes, V1)) return bytes.length < V1.length ? more(bytes) : version1(bytes)
  if (startsAs(bytes, V2))
    return bytes.length < V2_FIXED_BYTES ? { kind: 'incomplete', need: V2_FIXED_BYTES } : version2(bytes)
  return invalid('there is none')
}

/** As far as both go. */
function startsAs(bytes: Buffer, signature: Buffer): boolean {
  const length = Math.min(bytes.length, signature.length)
  return bytes.subarray(0, length).equals(signature.subarray(0, length))
}

function version1(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, V1_BYTES).indexOf('\r\n')
  if (end < 0) return bytes.length < V1_BYTES ? more(bytes) : invalid('version 1: the line does not end')
  const length = end + 2
  const [, family, source = '', destination = '', sourcePort = '', destinationPort = '', ...rest] = bytes
    .toString('latin1', 0, end)
    .split(' ')
  if (family === 'UNKNOWN') return { kind: 'complete', length }
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : undefined
  if (!isAddress) return invalid('version 1: neither TCP4 nor TCP6 nor UNKNOWN')
  // A zone is this host's, not the sender's.
  if (![source, destination].every((address) => isAddress(address) && !address.includes('%')))
    return invalid('version 1: no address')
  if (rest.length > 0 || ![sourcePort, destinationPort].every(isPort)) return invalid('version 1: no port')
  return {
    kind: 'complete',
    length,
    ends: {
      source: { address: source, port: Number(sourcePort) },
      destination: { address: destination, port: Number(destinationPort) },
    },
  }
}

function isPort(text: string): boolean {
  return /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535
}

function version2(bytes: Buffer): ProxyHeader {
  const [version, command] = [bytes.readUInt8(12) >> 4, bytes.readUInt8(12) & 15]
  const [family, protocol] = [bytes.readUInt8(13) >> 4, bytes.readUInt8(13) & 15]
  const body = bytes.readUInt16BE(14)
  const length = V2_FIXED_BYTES + body
  if (version !== 2) return invalid(`version ${version} is not known`)
  if (command > 1) return invalid(`version 2: command ${command} is not known`)
  if (bytes.length < length) return { kind: 'incomplete', need: length }
  // LOCAL: a health check, whatever else it says.
  if (command === 0) return { kind: 'complete', length }
  // What follows the addresses are TLVs: nothing we need.
  switch ((family << 4) | protocol) {
    case 0x11:
      return body < 12 ? invalid('version 2: too short for IPv4') : { kind: 'complete', length, ends: ends(bytes, 4) }
    case 0x21:
      return body < 36 ? invalid('version 2: too short for IPv6') : { kind: 'complete', length, ends: ends(bytes, 16) }
    case 0x00: // Unspecified.
    case 0x31: // A Unix socket of the proxy's machine: no address to limit.
      return { kind: 'complete', length }
  }
  return invalid(`version 2: no TCP (family ${family}, protocol ${protocol})`)
}

function ends(bytes: Buffer, size: 4 | 16): Ends {
  const from = V2_FIXED_BYTES
  const end = (at: number, port: number): Endpoint => ({
    address: text(bytes.subarray(at, at + size)),
    port: bytes.readUInt16BE(port),
  })
  return {
    source: end(from, from + 2 * size),
    destination: end(from + size, from + 2 * size + 2),
  }
}

function text(address: Buffer): string {
  if (address.length === 4) return address.join('.')
  const groups = Array.from({ length: 8 }, (_, i) => address.readUInt16BE(2 * i).toString(16))
  return groups.join(':')
}

/** Its end is found by looking for it. */
function more(bytes: Buffer): ProxyHeader {
  return { kind: 'incomplete', need: bytes.length + 1 }
}

function invalid(reason: string): ProxyHeader {
  return { kind: 'invalid', reason }
}
