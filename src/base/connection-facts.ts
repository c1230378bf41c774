/** What every line of the log about a connection has, so that it can be read alone: which one, from where, whose. */

/** Whose and from where; a login, a request and a connection each have these. */
export interface ConnectionOrigin {
  readonly connectionId: string
  readonly remote: { readonly address: string; readonly port: number }
}

export interface ProvedName {
  readonly name: string
  /** "SHA256:..."; "" if no key was used. */
  readonly fingerprint: string
}

/** Keys of one connection whose refusal has a line at info: an agent's. Of the others the last line has their number. */
export const LOUD_KEYS = 6

/** @param before keys that were refused before this one */
export function beyondLoudKeys(before = 0): boolean {
  return before >= LOUD_KEYS
}

/** @param who the identity, once it is proved */
export function connectionFacts({ connectionId, remote }: ConnectionOrigin, who?: ProvedName): Record<string, string> {
  const identity = who && { identity: who.name, ...(who.fingerprint !== '' && { fingerprint: who.fingerprint }) }
  return { connection: connectionId, remote: at(remote), ...identity }
}

export function at({ address, port }: ConnectionOrigin['remote']): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
