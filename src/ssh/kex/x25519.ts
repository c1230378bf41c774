/** X25519 (RFC 7748) with raw 32-byte keys. */
import { createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto'

export const X25519_LENGTH = 32

/** The base point, u = 9 (RFC 7748, 4.1): its product with a private key is that key's public one. */
const BASE_POINT = publicKeyOf(Buffer.from([9, ...Buffer.alloc(X25519_LENGTH - 1)]))

/**
 * One fresh key against the peer's. Throws on a low-order peer key: OpenSSL refuses the all-zero secret (RFC 8731, 3).
 *
 * The fresh key is not exported. As DER that costs more than the arithmetic. As JWK it can freeze the process: node 20 holds
 * the key's lock while it allocates, and a garbage collection in that moment takes the lock again for what generated the key.
 */
export function x25519(peer: Buffer): { readonly publicKey: Buffer; readonly sharedSecret: Buffer } {
  if (peer.length !== X25519_LENGTH) throw new Error('not an X25519 public key')
  const { privateKey } = generateKeyPairSync('x25519')
  return {
    publicKey: diffieHellman({ privateKey, publicKey: BASE_POINT }),
    sharedSecret: diffieHellman({ privateKey, publicKey: publicKeyOf(peer) }),
  }
}

/** Import as JWK: OpenSSL's DER decoder costs more than the arithmetic. */
function publicKeyOf(raw: Buffer) {
  return createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'X25519', x: raw.toString('base64url') } })
}
