/** What may change in a running gateway, and what may not. */
import { authentication } from './authentication.ts'
import { type Config, configSchema, LIVE_KEYS, type LiveKey } from './schema.ts'

/** What says who may log in; rules, because the principals they name may. */
export const PEOPLE_KEYS: readonly LiveKey[] = [...authentication.keyof().options, 'rules']

/** Keys whose values differ, as JSON sees them. */
export function changedKeys(before: Config, after: Config): (keyof Config)[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)] as (keyof Config)[])
  return [...keys].filter((key) => JSON.stringify(before[key], big) !== JSON.stringify(after[key], big))
}

export function needRestart(keys: readonly (keyof Config)[]): (keyof Config)[] {
  const live: readonly (keyof Config)[] = LIVE_KEYS
  return keys.filter((key) => !live.includes(key))
}

/** What narrows, and whose absence is the default: whatever the others say, more is permitted without it. */
const NARROWING = ['rules', 'authorization', 'authenticationMethods', 'authorizedKeys', 'revokedKeys'] as const

/**
 * Why the new configuration must not replace the old one unasked; undefined: it may. A file that was cut short, or is
 * being written, lacks what narrows, too, and nobody means that.
 */
export function whyNotLive(before: Config, after: Config): string | undefined {
  const defaults = { ...configSchema.parse({}), keysDirectory: before.keysDirectory }
  const changed = changedKeys(before, after)
  const set = changedKeys(after, defaults)
  const lost = NARROWING.filter((key) => changed.includes(key) && !set.includes(key))
  if (lost.length === 0) return undefined
  return `${lost.join(', ')}: gone, which would permit more; restart the gateway if that is meant`
}

/** Addresses are numbers too long for JSON. */
function big(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}
