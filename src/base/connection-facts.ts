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

/** @param who the identity, once it is proved */
export function connectionFacts({ connectionId, remote }: ConnectionOrigin, who?: ProvedName): Record<string, string> {
  const identity = who && { identity: who.name, ...(who.fingerprint !== '' && { fingerprint: who.fingerprint }) }
  return { connection: connectionId, remote: at(remote), ...identity }
}

export function at({ address, port }: ConnectionOrigin['remote']): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
