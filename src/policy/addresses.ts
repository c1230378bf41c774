/**
 * Hosts and ports of forwards against a rule's list. A client has many names for one address: a rule that allows means
 * the names it lists, a rule that denies also what is known to lead to the same place.
 */
import { type Address, contains, parseAddress } from '../address.ts'
import type { HostPort } from '../config/rule-values.ts'
import { globMatches } from '../glob.ts'

const LOOPBACK = ['127.0.0.1', '::1'].flatMap((text) => parseAddress(text) ?? [])
/** connect(2) takes them for the loopback, and so is "localhost" by RFC 6761. */
const ANY = ['0.0.0.0', '::'].flatMap((text) => parseAddress(text) ?? [])

export function hostPortMatches(
  pattern: HostPort,
  { host, port }: { readonly host: string; readonly port: number },
  effect: 'allow' | 'deny',
): boolean {
  if (port < pattern.from || port > pattern.to) return false
  const name = host.toLowerCase().replace(/(.)\.$/, '$1')
  const { host: wanted } = pattern
  const addresses = addressesOf(name, effect)
  if (typeof wanted !== 'string') return addresses.some((address) => contains([wanted], address))
  if (globMatches(wanted, name)) return true
  return wanted === 'localhost' && addresses.some((address) => isOneOf(LOOPBACK, address))
}

function addressesOf(name: string, effect: 'allow' | 'deny'): readonly Address[] {
  // An address with a zone is a name to the resolver inside.
  const literal = name.includes('%') ? undefined : parseAddress(name)
  if (effect === 'allow') return literal ? [literal] : []
  const local = name === '' || name === 'localhost' || name.endsWith('.localhost')
  const loopback = local || (literal && isOneOf(ANY, literal)) ? LOOPBACK : []
  return literal ? [literal, ...loopback] : loopback
}

function isOneOf(addresses: readonly Address[], { family, value }: Address): boolean {
  return addresses.some((one) => one.family === family && one.value === value)
}
