/**
 * Lists of addresses as sshd writes them (addrmatch.c, match.c): CIDR networks, "*" and "?" patterns, "!" before either.
 * A list that cannot be parsed matches no address.
 */

import { globMatches } from '../base/glob.ts'
import {
  type Address,
  type Block,
  contains,
  parseAddress,
  parseBlock,
  plainAddress,
  UNKNOWN_ADDRESS,
} from './address.ts'

/** Returns whether `address` is in the list (from=, Match Address). One negated match refuses, wherever it stands. */
export function matchesAddressList(address: string, list: string): boolean {
  // A peer without an address (a pipe) is in no list, not even in "*".
  if (address === UNKNOWN_ADDRESS) return false
  const own = plain(address)
  const text = plainAddress(address).toLowerCase()
  let matched = false
  for (const entry of list.split(',')) {
    const negated = entry.startsWith('!')
    const pattern = negated ? entry.slice(1) : entry
    const network = parseNetwork(pattern)
    if (pattern === '' || network === 'inconsistent') return false
    const hit = network ? own !== undefined && contains([network], own) : globMatches(pattern.toLowerCase(), text)
    if (hit && negated) return false
    matched ||= hit
  }
  return matched
}

/** source-address of a certificate: networks only. */
export function matchesNetworks(address: string, list: string): boolean {
  const own = plain(address)
  const networks = list.split(',').map(parseNetwork)
  return own !== undefined && networks.every((network) => typeof network === 'object') && contains(networks, own)
}

/** Returns whether matchesNetworks() can parse the list. */
export function areNetworks(list: string): boolean {
  return list.split(',').every((entry) => typeof parseNetwork(entry) === 'object')
}

/** Returns undefined if it is no address. A network with host bits set is a mistake that sshd refuses, too. */
function parseNetwork(text: string): Block | 'inconsistent' | undefined {
  const [address = '', mask = '0', ...more] = text.split('/')
  if (more.length > 0 || !/^\d{1,3}$/.test(mask) || Number(mask) > 128 || !plain(address)) return undefined
  return parseBlock(text) ?? 'inconsistent'
}

/** Returns undefined for anything else, such as a name or an IPv6 address with a zone. */
function plain(text: string): Address | undefined {
  return text.includes('%') ? undefined : parseAddress(text)
}
