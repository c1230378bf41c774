/**
 * Hosts and ports of forwards against a rule's list. A client has many names for one address: a rule that allows means
 * the names it lists, a rule that denies also what is known to lead to the same place.
 */

import { globMatches } from '../base/glob.ts'
import type { HostPort } from '../config/rule-values.ts'
import { type Address, contains, inetAton, parseAddress } from '../net/address.ts'

const LOOPBACK = ['127.0.0.1', '::1'].flatMap((text) => parseAddress(text) ?? [])
/** connect(2) takes them for the loopback, and so is "localhost" by RFC 6761. */
const ANY = ['0.0.0.0', '::'].flatMap((text) => parseAddress(text) ?? [])

export function hostPortMatches(
  pattern: HostPort,
  { host, port }: { readonly host: string; readonly port: number },
  effect: 'allow' | 'deny',
): boolean {
  if (!portMatches(pattern, port)) return false
  const name = host.toLowerCase().replace(/(.)\.$/, '$1')
  const { host: wanted } = pattern
  const addresses = addressesOf(name, effect)
  if (typeof wanted !== 'string') return addresses.some((address) => contains([wanted], address))
  if (globMatches(wanted, name)) return true
  return wanted === 'localhost' && addresses.some((address) => isOneOf(LOOPBACK, address))
}

interface Listening {
  /** As it was asked for. */
  readonly host: string
  readonly port: number
  readonly bound?: string
}

/** Of -R. A rule that denies means also what is bound in the end; and a listener on every address listens on each. */
export function listenMatches(pattern: HostPort, { host, port, bound }: Listening, effect: 'allow' | 'deny'): boolean {
  if (effect === 'allow') return hostPortMatches(pattern, { host, port }, effect)
  return [host, bound ?? host].some((one) =>
    isEveryAddress(one) ? portMatches(pattern, port) : hostPortMatches(pattern, { host: one, port }, effect),
  )
}

/** RFC 4254 §7.1 and channels.c channel_fwd_bind_addr(). */
function isEveryAddress(host: string): boolean {
  const literal = parseAddress(host) ?? inetAton(host)
  return host === '' || host === '*' || (literal !== undefined && isOneOf(ANY, literal))
}

function portMatches({ from, to }: HostPort, port: number): boolean {
  return port >= from && port <= to
}

function addressesOf(name: string, effect: 'allow' | 'deny'): readonly Address[] {
  // An address with a zone is a name to the resolver inside.
  const literal = name.includes('%') ? undefined : (parseAddress(name) ?? inetAton(name))
  if (effect === 'allow') return literal ? [literal] : []
  const local = name === '' || name === 'localhost' || name.endsWith('.localhost')
  const loopback = local || (literal && isOneOf(ANY, literal)) ? LOOPBACK : []
  return literal ? [literal, ...loopback] : loopback
}

function isOneOf(addresses: readonly Address[], { family, value }: Address): boolean {
  return addresses.some((one) => one.family === family && one.value === value)
}
