/** What may change in a running gateway, and what may not. */
import type { Config } from './schema.ts'

/** What says who may log in; rules, because the principals they name may. */
export const PEOPLE_KEYS = [
  'users',
  'rules',
  'authenticationMethods',
  'authorizedKeys',
  'authorizedKeysCommand',
  'authorizedKeysCommandUser',
  'trustedUserCAKeys',
  'caSignatureAlgorithms',
  'authorizedPrincipals',
  'authorizedPrincipalsFile',
  'authorizedPrincipalsCommand',
  'authorizedPrincipalsCommandUser',
  'revokedKeys',
  'pubkeyAuthOptions',
] as const satisfies readonly (keyof Config)[]

/** Top-level keys that a reload applies: those above, and what is asked at each use. */
const LIVE: readonly (keyof Config)[] = [
  ...PEOPLE_KEYS,
  'endWithdrawn',
  'authorization',
  'environment',
  'limits',
  'motd',
  'proxyProtocol',
  'onDisconnect',
]

/** Keys whose values differ, as JSON sees them. */
export function changedKeys(before: Config, after: Config): (keyof Config)[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)] as (keyof Config)[])
  return [...keys].filter((key) => JSON.stringify(before[key], big) !== JSON.stringify(after[key], big))
}

export function needRestart(keys: readonly (keyof Config)[]): (keyof Config)[] {
  return keys.filter((key) => !LIVE.includes(key))
}

/** Why the new configuration must not replace the old one unasked; undefined: it may. */
export function whyNotLive(before: Config, after: Config): string | undefined {
  // A file that was cut short, or is being written, has no rules either: nobody means that everything is permitted.
  if (before.rules !== undefined && after.rules === undefined) {
    return 'rules: they are gone, which would permit everything; restart the gateway if that is meant'
  }
  return undefined
}

/** Addresses are numbers too long for JSON. */
function big(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}
