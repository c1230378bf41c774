/** Which keys may change in a running gateway, and which may not. */
import { authentication } from './authentication.ts'
import { type Config, configSchema, LIVE_KEYS, type LiveKey } from './schema.ts'

/** Keys that say who may log in; rules, too, because the principals that they name may. */
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

/** Keys that narrow, and are absent by default: without one more is permitted, whatever the others say. */
const NARROWING = ['rules', 'authorization', 'authenticationMethods', 'authorizedKeys', 'revokedKeys'] as const

/**
 * Returns why the new configuration must not replace the old one unasked, or undefined. A file that was cut short, or
 * is being written, lacks such keys, and nobody means that.
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
