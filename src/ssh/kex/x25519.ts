/** X25519 (RFC 7748) with raw 32-byte keys, which node:crypto takes and gives only inside DER. */
import { createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto'

export const X25519_LENGTH = 32

/** SubjectPublicKeyInfo around a raw key (RFC 8410). */
const SPKI_PREFIX = Buffer.from('302a300506032b656e032100', 'hex')

/** One fresh key against the peer's. Throws on a low-order peer key: OpenSSL refuses the all-zero secret (RFC 8731, 3). */
export function x25519(peer: Buffer): { readonly publicKey: Buffer; readonly sharedSecret: Buffer } {
  const own = generateKeyPairSync('x25519')
  const publicKey = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, peer]), format: 'der', type: 'spki' })
  return {
    publicKey: own.publicKey.export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX.length),
    sharedSecret: diffieHellman({ privateKey: own.privateKey, publicKey }),
  }
}
