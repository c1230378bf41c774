/** X25519 (RFC 7748) with raw 32-byte keys. As JWK: OpenSSL's DER codecs cost more than the arithmetic. */
import { createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto'

export const X25519_LENGTH = 32

/** One fresh key against the peer's. Throws on a low-order peer key: OpenSSL refuses the all-zero secret (RFC 8731, 3). */
export function x25519(peer: Buffer): { readonly publicKey: Buffer; readonly sharedSecret: Buffer } {
  if (peer.length !== X25519_LENGTH) throw new Error('not an X25519 public key')
  const own = generateKeyPairSync('x25519')
  const publicKey = createPublicKey({
    format: 'jwk',
    key: { kty: 'OKP', crv: 'X25519', x: peer.toString('base64url') },
  })
  return {
    publicKey: Buffer.from(own.publicKey.export({ format: 'jwk' }).x ?? '', 'base64url'),
    sharedSecret: diffieHellman({ privateKey: own.privateKey, publicKey }),
  }
}
