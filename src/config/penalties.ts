/** PerSourcePenalties, as sshd_config(5) spells it: "no", "yes", or "authfail:5s max:10m ...". */
import { parseCount, parseDuration } from './values.ts'

type Overflow = 'permissive' | 'deny-all'

/** OpenSSH's own defaults (servconf.c). */
const DEFAULTS = {
  enabled: true,
  penalties: { crash: 90_000, authfail: 5_000, noauth: 1_000, 'grace-exceeded': 10_000, refuseconnection: 10_000 },
  max: 600_000,
  min: 15_000,
  maxSources4: 65_536,
  maxSources6: 65_536,
  overflow4: 'permissive' as Overflow,
  overflow6: 'permissive' as Overflow,
}

export type PenaltyOptions = typeof DEFAULTS

/** A setting that is not named has its default. */
export function parsePenalties(text: string): PenaltyOptions | undefined {
  const words = text.trim().split(/\s+/)
  const result: PenaltyOptions = { ...DEFAULTS, penalties: { ...DEFAULTS.penalties } }
  if (words.length === 1 && words[0] === 'no') return { ...result, enabled: false }
  if (words.length === 1 && words[0] === 'yes') return result
  for (const word of words) {
    const [name = '', value = '', ...rest] = word.split(':')
    if (rest.length > 0 || !take(result, name, value)) return undefined
  }
  // IPv6 overflows as IPv4 does, unless told otherwise.
  return words.some((word) => word.startsWith('overflow6:')) ? result : { ...result, overflow6: result.overflow4 }
}

function take(settings: PenaltyOptions, name: string, value: string): boolean {
  switch (name) {
    case 'overflow':
    case 'overflow6':
      if (value !== 'permissive' && value !== 'deny-all') return false
      settings[name === 'overflow' ? 'overflow4' : 'overflow6'] = value
      return true
    case 'max-sources4':
    case 'max-sources6': {
      const count = parseCount(value)
      if (!count) return false
      settings[name === 'max-sources4' ? 'maxSources4' : 'maxSources6'] = count
      return true
    }
  }
  const time = parseDuration(value)
  if (time === undefined) return false
  if (name === 'max' || name === 'min') settings[name] = time
  else if (isPenalty(name)) settings.penalties[name] = time
  else return false
  return true
}

function isPenalty(name: string): name is keyof PenaltyOptions['penalties'] {
  return Object.hasOwn(DEFAULTS.penalties, name)
}
