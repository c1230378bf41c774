/** Parses times, sizes and addresses as sshd_config(5) spells them. A function returns undefined for anything else. */
import { isLoopback } from '../net/address.ts'
import type { LocalPlace } from '../net/local-place.ts'

const TIME_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}
/** 2^31-1 ms: setTimeout() fires at once for more. */
const MAX_TIME_MS = 2_147_483_647

/** sshd_config(5) TIME FORMATS: seconds, or units in a row ("90", "2m", "1h30m"); "ms" is ours. Returns milliseconds. */
export function parseDuration(text: string | number): number | undefined {
  const words = String(text).trim().toLowerCase()
  if (words === 'none') return 0
  if (/^\d+(\.\d+)?$/.test(words)) return inTime(Number(words) * 1_000)
  if (!/^(\d+(ms|s|m|h|d|w))+$/.test(words)) return undefined
  let total = 0
  for (const [, count, unit = 's'] of words.matchAll(/(\d+)(ms|[smhdw])/g)) {
    total += Number(count) * (TIME_UNITS[unit] ?? 0)
  }
  return inTime(total)
}

function inTime(milliseconds: number): number | undefined {
  return milliseconds <= MAX_TIME_MS ? Math.round(milliseconds) : undefined
}

const SIZE_UNITS: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }

/** Bytes with K, M or G behind, as RekeyLimit has them. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+)([kmg]?)$/i.exec(text.trim())
  if (!match) return undefined
  const size = Number(match[1]) * (SIZE_UNITS[(match[2] ?? '').toLowerCase()] ?? 1)
  return Number.isSafeInteger(size) ? size : undefined
}

/** RekeyLimit: bytes, then optionally a time; "default" bytes are RFC 4253 §9's 1 GiB, "none" never. */
export function parseRekeyLimit(text: string): { bytes: number; milliseconds: number } | undefined {
  const [first = '', second = 'none', ...rest] = text.trim().split(/\s+/)
  const bytes = first === 'none' ? 0 : first === 'default' ? 1024 ** 3 : parseSize(first)
  const milliseconds = parseDuration(second)
  if (bytes === undefined || milliseconds === undefined || rest.length > 0) return undefined
  // sshd's own lower bound (readconf.c): a rekey for every few packets is a denial of service on oneself.
  if (bytes !== 0 && bytes < 16) return undefined
  return { bytes, milliseconds }
}

/** MaxStartups "start:rate:full", or one number for all. Bounds as servconf.c checks them. */
export function parseMaxStartups(text: string | number): { start: number; rate: number; full: number } | undefined {
  const match = /^(\d{1,6})(?::(\d{1,3}):(\d{1,6}))?$/.exec(String(text).trim())
  if (!match) return undefined
  const start = Number(match[1])
  const rate = Number(match[2] ?? 100)
  const full = Number(match[3] ?? match[1])
  return start >= 1 && full >= start && rate >= 1 && rate <= 100 ? { start, rate, full } : undefined
}

/** What a name of the operator's table stands for; it survives that the container is made again. */
export type Alias =
  | { readonly kind: 'name'; readonly name: string }
  /** Without a value: any. */
  | { readonly kind: 'label'; readonly key: string; readonly value?: string }
  /** "service.project" */
  | { readonly kind: 'compose'; readonly service: string }

const CONTAINER_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/

/** What an alias stands for: "label:KEY", "label:KEY=VALUE", "compose:SERVICE.PROJECT" or a container's name. */
export function parseAlias(text: string): Alias | undefined {
  const label = /^label:([^=]+)(?:=(.*))?$/s.exec(text)
  if (label?.[1]) {
    return { kind: 'label', key: label[1], ...(label[2] !== undefined && { value: label[2] }) }
  }
  const service = /^compose:([^.]+\..+)$/.exec(text)?.[1]
  if (service !== undefined) return { kind: 'compose', service }
  return CONTAINER_NAME.test(text) ? { kind: 'name', name: text } : undefined
}

/** "HOST:PORT" or "[V6]:PORT". Port 0: any free one. */
export function parseListen(text: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([0-9a-f:.]+(?:%[\w.-]+)?)\]|([^\s:[\]]+)):(\d{1,5})$/i.exec(text.trim())
  if (!match) return undefined
  const port = Number(match[3])
  const host = match[1] ?? match[2]
  return host !== undefined && port <= 65_535 ? { host, port } : undefined
}

/** "none", "127.0.0.1:PORT" (any of 127.0.0.0/8), "[::1]:PORT" or "unix:/PATH". No host names: what they mean may change. */
export function parseLocalPlace(text: string): LocalPlace | { readonly kind: 'none' } | undefined {
  if (text.trim().toLowerCase() === 'none') return { kind: 'none' }
  const path = /^unix:(\/[^\0]*[^\0/])$/.exec(text.trim())?.[1]
  if (path !== undefined) return { kind: 'unix', path }
  const place = parseListen(text)
  return place && isLoopback(place.host) ? { kind: 'tcp', ...place } : undefined
}

/** PerSourceMaxStartups and the like: a number, or "none" for 0. */
export function parseCount(text: string | number): number | undefined {
  const words = String(text).trim().toLowerCase()
  if (words === 'none') return 0
  return /^[1-9]\d{0,5}$/.test(words) ? Number(words) : undefined
}

/** The prefix length of the smallest IPv6 network that a site gets. */
const IPV6_SITE = 64

/** PerSourceNetBlockSize "32:64", IPv6 optional. */
export function parseNetBlockSize(text: string | number): { ipv4: number; ipv6: number } | undefined {
  const match = /^(\d{1,2})(?::(\d{1,3}))?$/.exec(String(text).trim())
  if (!match) return undefined
  const [ipv4, ipv6] = [Number(match[1]), Number(match[2] ?? IPV6_SITE)]
  return ipv4 <= 32 && ipv6 <= 128 ? { ipv4, ipv6 } : undefined
}

/** ChannelTimeout "type=interval"; type is a pattern. */
export function parseChannelTimeout(text: string): { pattern: string; milliseconds: number } | undefined {
  const match = /^([a-z0-9*?:@.-]+)=(\S+)$/i.exec(text.trim())
  const milliseconds = match?.[2] === undefined ? undefined : parseDuration(match[2])
  return match?.[1] === undefined || milliseconds === undefined ? undefined : { pattern: match[1], milliseconds }
}
