/** IP addresses and blocks of them, as sshd reads them (addr.c, addrmatch.c). An IPv4-mapped IPv6 address is IPv4. */
import { isIP } from 'node:net'

export interface Address {
  readonly family: 4 | 6
  readonly value: bigint
}

/** Addresses whose first `bits` are those of `value`. */
export interface Block extends Address {
  readonly bits: number
}

const SIZE = { 4: 32, 6: 128 } as const
/** ::ffff:0:0/96, RFC 4291 §2.5.5.2. */
const MAPPED = 0xffffn

/** sshd's word for a peer without an address: standard input is a pipe (canohost.c). */
export const UNKNOWN_ADDRESS = 'UNKNOWN'

export function parseAddress(text: string): Address | undefined {
  // A zone names the interface of a link-local address, and is no part of it.
  const [bare = ''] = text.split('%')
  const family = isIP(bare)
  if (family === 4) return { family, value: v4(bare) }
  if (family !== 6) return undefined
  const value = v6(bare)
  return value >> 32n === MAPPED ? { family: 4, value: value & 0xffffffffn } : { family, value }
}

const NUMBER = /^(?:0x[0-9a-f]+|0[0-7]*|[1-9]\d*)$/i

/**
 * Parses an IPv4 address as inet_aton(3) does, and so every connect and bind to a "name": one to four numbers, each
 * decimal, octal ("0..") or hex ("0x.."); the last fills the rest. "0", "127.1" and "0x7f000001" are addresses, with any
 * number of leading zeros.
 */
export function inetAton(text: string): Address | undefined {
  const parts = text.split('.')
  if (parts.length > 4 || !parts.every((part) => NUMBER.test(part))) return undefined
  const numbers = parts.map((part) => (/^0\d/.test(part) ? Number.parseInt(part, 8) : Number(part)))
  const last = numbers.pop() ?? 0
  if (numbers.some((number) => number > 255) || last >= 2 ** (32 - 8 * numbers.length)) return undefined
  return { family: 4, value: BigInt(numbers.reduce((value, number, i) => value + number * 2 ** (24 - 8 * i), last)) }
}

/** Returns the host that a connection would go to: an address for inet_aton(3) in plain form, all else as it is. */
export function meantHost(host: string): string {
  const address = inetAton(host)
  return address ? addressText(address) : host
}

/** "10.0.0.0/8", "2001:db8::/32", or one address. Undefined also for bits set behind the mask, which sshd refuses. */
export function parseBlock(text: string): Block | undefined {
  const match = /^([0-9a-f:.]+)(?:\/(\d{1,3}))?$/i.exec(text.trim())
  const address = match?.[1] === undefined ? undefined : parseAddress(match[1])
  if (!address) return undefined
  const bits = match?.[2] === undefined ? SIZE[address.family] : Number(match[2])
  if (bits > SIZE[address.family] || masked(address, bits).value !== address.value) return undefined
  return { ...address, bits }
}

export function contains(blocks: readonly Block[], address: Address): boolean {
  return blocks.some(({ family, value, bits }) => family === address.family && masked(address, bits).value === value)
}

const LOOPBACK = ['127.0.0.0/8', '::1'].map(parseBlock).filter((block) => block !== undefined)

/** Is it an address that only this machine reaches? Names are none: what they mean may change. */
export function isLoopback(text: string): boolean {
  const address = parseAddress(text)
  return address !== undefined && contains(LOOPBACK, address)
}

export function masked({ family, value }: Address, bits: number): Address {
  const behind = BigInt(Math.max(0, SIZE[family] - bits))
  return { family, value: (value >> behind) << behind }
}

export function addressText({ family, value }: Address): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join('.')
  const groups = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16))
  // The URL standard writes it as RFC 5952 does: the one shortest spelling.
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}

/** Writes an IPv4 client of a dual-stack socket as IPv4, so that rules for its address match; IPv6 by RFC 5952. */
export function plainAddress(text: string): string {
  const parsed = text.includes('%') ? undefined : parseAddress(text)
  return parsed ? addressText(parsed) : text
}

function v4(text: string): bigint {
  return text.split('.').reduce((value, part) => (value << 8n) | BigInt(part), 0n)
}

function v6(text: string): bigint {
  // The last 32 bits may be written as IPv4.
  const [, front = '', tail] = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text) ?? []
  if (tail !== undefined) return v6(`${front}0:0`) | v4(tail)
  const [left = '', right] = text.split('::')
  const groups = (part: string) => (part === '' ? [] : part.split(':'))
  const [before, after] = [groups(left), groups(right ?? '')]
  const gap = right === undefined ? [] : Array<string>(8 - before.length - after.length).fill('0')
  return [...before, ...gap, ...after].reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n)
}
