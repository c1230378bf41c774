/** The key exchanges this server offers, and of which kind each is. */
import type { Kem } from './kem.ts'
import { mlkem768 } from './mlkem768.ts'
import { sntrup761 } from './sntrup761.ts'

/** A post-quantum KEM and X25519 together: the session stays secret while either of the two holds. */
export interface Hybrid {
  readonly kem: Kem
  /** Hashes the two secrets into K, and then the exchange (H) and the keys. */
  readonly hash: 'sha256' | 'sha512'
}

/** draft-ietf-sshm-mlkem-hybrid-kex and draft-ietf-sshm-ntruprime-ssh; OpenSSH 9.8 and older know only the last name. */
export const HYBRIDS: ReadonlyMap<string, Hybrid> = new Map<string, Hybrid>([
  ['mlkem768x25519-sha256', { kem: mlkem768, hash: 'sha256' }],
  ['sntrup761x25519-sha512', { kem: sntrup761, hash: 'sha512' }],
  ['sntrup761x25519-sha512@openssh.com', { kem: sntrup761, hash: 'sha512' }],
])

/**
 * Best first: what OpenSSH 10 prefers. No SHA-1; no group exchange, which ssh2's server lists but does not implement; none
 * of the large groups, of which one takes up to 20 ms of the thread that serves everybody, and who knows them knows a curve
 * (sshd offers no group at all since 10.0). The last is for clients that know none.
 */
export const KEX_ALGORITHMS: readonly string[] = [
  ...HYBRIDS.keys(),
  'curve25519-sha256',
  'curve25519-sha256@libssh.org',
  'ecdh-sha2-nistp256',
  'ecdh-sha2-nistp384',
  'ecdh-sha2-nistp521',
  'diffie-hellman-group14-sha256',
]

/** 3 and 9 ms, where the others take one at most: few builds of OpenSSL have the fast code for these curves. */
export const DEAR_KEX: readonly string[] = ['ecdh-sha2-nistp384', 'ecdh-sha2-nistp521']
