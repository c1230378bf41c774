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
  /** The methods that proved it, in order. */
  readonly method?: string
  /** What authorised it: "FILE:LINE", "ca FINGERPRINT", "user NAME". */
  readonly source?: string
  /** Of a certificate; the fingerprint is that of its key. */
  readonly certificate?: CertificateFacts
}

export interface CertificateFacts {
  readonly serial: string
  readonly keyId: string
  /** Fingerprint of the key that signed it. */
  readonly authority: string
}

/** A login: what each event about it has. */
export interface Whose extends ConnectionOrigin {
  readonly identity: ProvedName
  /** What the client logged in as: "dev@web". */
  readonly login: string
  /** The host it named before the login, where it did. */
  readonly host?: string
}

export interface ContainerFacts {
  readonly id: string
  readonly name: string
  readonly image?: string
  /** Absent: the only one. */
  readonly engine?: string
}

export function containerFacts({ id, name, image, engine }: ContainerFacts): ContainerFacts {
  return { id, name, ...(image !== undefined && { image }), ...(engine !== undefined && { engine }) }
}

/** Of a line of the log. */
export function placeFields({ name, engine }: Pick<ContainerFacts, 'name' | 'engine'>) {
  return { container: name, ...(engine !== undefined && { engine }) }
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
