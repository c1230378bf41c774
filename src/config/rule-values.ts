/** How a rule writes addresses with ports, and hours. The functions return undefined for anything else. */
import { type Block, inetAton, parseBlock } from '../net/address.ts'

export interface HostPort {
  /** A name pattern in lower case, or addresses. */
  readonly host: string | Block
  readonly from: number
  readonly to: number
}

/** "HOST:PORT", "[V6]:PORT", "NETWORK:PORT"; the host may have wildcards; the port may be a range or "*". */
export function parseHostPort(text: string): HostPort | undefined {
  const match = /^(?:\[([^[\]]+)\]|([^[\]]*)):(?:(\*)|(\d{1,5})(?:-(\d{1,5}))?)$/.exec(text)
  if (!match) return undefined
  const [, v6, plain, any, first, last] = match
  const host = (v6 ?? plain ?? '').toLowerCase()
  const [from, to] = any ? [0, 65_535] : [Number(first), Number(last ?? first)]
  if (host === '' || to > 65_535 || from > to) return undefined
  // Without brackets nobody can tell where an IPv6 address ends.
  if (v6 === undefined && host.includes(':')) return undefined
  const network = parseBlock(host)
  // Bits past the mask, an octet too many, a number in hex: what looks like an address is not meant as a name.
  if (!network && (/\/|^[\d.]+$/.test(host) || inetAton(host))) return undefined
  if (v6 !== undefined && !network) return undefined
  return { host: network ?? host, from, to }
}

export interface Window {
  /** The days of the week, Sunday first. */
  readonly days: readonly boolean[]
  /** Minutes of the day; a `to` at or before `from` is on the next day. */
  readonly from: number
  readonly to: number
  /** Absent: the gateway's own time zone. */
  readonly timeZone?: string
}

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
const FULL_DAY = { from: 0, to: 24 * 60 }

/** "Mon-Fri 08:00-18:00 Europe/Berlin": days, hours, zone; days or hours may be left out, and the zone. */
export function parseWindow(text: string): Window | undefined {
  const words = text.trim().split(/\s+/)
  if (words.length > 3 || words[0] === '') return undefined
  const days = parseDays(words[0] ?? '')
  if (days) words.shift()
  const hours = parseHours(words[0] ?? '')
  if (hours) words.shift()
  const [zone, ...more] = words
  if (more.length > 0 || (!days && !hours) || (zone !== undefined && !isTimeZone(zone))) return undefined
  return { days: days ?? DAYS.map(() => true), ...(hours ?? FULL_DAY), ...(zone !== undefined && { timeZone: zone }) }
}

/** "Mon", "Mon-Fri", "Sat,Sun", "Fri-Mon". */
function parseDays(text: string): boolean[] | undefined {
  const days = DAYS.map(() => false)
  for (const part of text.toLowerCase().split(',')) {
    const [first = '', last = first, ...more] = part.split('-')
    const [from, to] = [DAYS.indexOf(first), DAYS.indexOf(last)]
    if (from < 0 || to < 0 || more.length > 0) return undefined
    for (let day = from; ; day = (day + 1) % 7) {
      days[day] = true
      if (day === to) break
    }
  }
  return days
}

function parseHours(text: string): { from: number; to: number } | undefined {
  const match = /^(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})$/.exec(text)
  if (!match) return undefined
  const [fromHour = 0, fromMinute = 0, toHour = 0, toMinute = 0] = match.slice(1).map(Number)
  if (fromMinute > 59 || toMinute > 59 || fromHour > 23 || toHour > 24 || (toHour === 24 && toMinute > 0))
    return undefined
  return { from: fromHour * 60 + fromMinute, to: toHour * 60 + toMinute }
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}
