/**
 * Lists of addresses as sshd writes them (addrmatch.c, match.c): CIDR networks, "*" and "?" patterns, "!" before either.
 * A list that cannot be read admits nobody.
 */
import { isIPv4, isIPv6 } from 'node:net'
import { globMatches } from './glob.ts'

/** from=, Match Address: is `address` in the list? One negated match refuses, wherever in the list it stands. */
export function matchesAddressList(address: string, list: string): boolean {
  const plain = unmapped(address).toLowerCase()
  let matched = false
  for (const entry of list.split(',')) {
    const negated = entry.startsWith('!')
    const pattern = negated ? entry.slice(1) : entry
    const network = parseNetwork(pattern)
    if (pattern === '' || network === 'inconsistent') return false
    const hit = network ? isWithin(plain, network) : globMatches(pattern.toLowerCase(), plain)
    if (hit && negated) return false
    matched ||= hit
  }
  return matched
}

/** source-address of a certificate: networks only. */
export function matchesNetworks(address: string, list: string): boolean {
  const networks = list.split(',').map(parseNetwork)
  if (!networks.every((network) => typeof network === 'object')) return false
  return networks.some((network) => isWithin(unmapped(address), network))
}

/** Whether the list is one that matchesNetworks() can read. */
export function areNetworks(list: string): boolean {
  return list.split(',').every((entry) => typeof parseNetwork(entry) === 'object')
}

export interface Network {
  /** 4 or 16. */
  readonly bytes: Buffer
  readonly length: number
}

/** undefined: no address at all. A network with host bits set is a mistake, which sshd does not guess at. */
export function parseNetwork(text: string): Network | 'inconsistent' | undefined {
  const [address = '', mask, ...more] = text.split('/')
  const bytes = addressBytes(address)
  if (!bytes || more.length > 0) return undefined
  if (mask !== undefined && (!/^\d{1,3}$/.test(mask) || Number(mask) > 128)) return undefined
  const length = mask === undefined ? bytes.length * 8 : Number(mask)
  if (length > bytes.length * 8 || !bytes.equals(masked(bytes, length))) return 'inconsistent'
  return { bytes, length }
}

export function isWithin(address: string, { bytes, length }: Network): boolean {
  const own = addressBytes(address)
  return own !== undefined && own.length === bytes.length && masked(own, length).equals(bytes)
}

/** Undefined for what is no address: a name, or an IPv6 address with a zone. */
export function addressBytes(address: string): Buffer | undefined {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number))
  if (!isIPv6(address) || address.includes('%')) return undefined
  // The last four bytes may be written as IPv4.
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(address)
  const text = dotted ? `${dotted[1]}${quads(dotted[2] ?? '')}` : address
  const [head = '', tail] = text.split('::')
  const groups = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)))
  const [first, last] = [groups(head), groups(tail ?? '')]
  const all = [...first, ...new Array<number>(8 - first.length - last.length).fill(0), ...last]
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 255]))
}

function quads(ipv4: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = ipv4.split('.').map(Number)
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
}

function masked(bytes: Buffer, length: number): Buffer {
  return Buffer.from(
    bytes.map((byte, index) => {
      const bits = Math.min(8, Math.max(0, length - index * 8))
      return byte & (0xff << (8 - bits)) & 0xff
    }),
  )
}

/** A socket that listens on both families shows IPv4 clients as ::ffff:10.0.0.1. */
export function unmapped(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  return mapped?.[1] ?? address
}
