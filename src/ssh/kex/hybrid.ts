/** The server's side of a hybrid exchange: the client's share in, our share and K out. */
import { createHash } from 'node:crypto'
import type { Hybrid } from './algorithms.ts'
import { X25519_LENGTH, x25519 } from './x25519.ts'

export interface HybridAnswer {
  /** S_REPLY: KEM ciphertext || X25519 public key. */
  readonly share: Buffer
  /** K = HASH(KEM secret || X25519 secret). A string, not an mpint, wherever it is hashed. */
  readonly secret: Buffer
}

/** The client's share is C_INIT: KEM public key || X25519 public key. Throws a sentence if it cannot be one. */
export function answerHybrid({ kem, hash }: Hybrid, clientShare: Buffer): HybridAnswer {
  const expected = kem.publicKeyLength + X25519_LENGTH
  if (clientShare.length !== expected) {
    throw new Error(`the client's share is ${clientShare.length} bytes long, not ${expected}`)
  }
  const encapsulated = kem.encapsulate(clientShare.subarray(0, kem.publicKeyLength))
  const exchanged = x25519(clientShare.subarray(kem.publicKeyLength))
  return {
    share: Buffer.concat([encapsulated.ciphertext, exchanged.publicKey]),
    secret: createHash(hash).update(encapsulated.sharedSecret).update(exchanged.sharedSecret).digest(),
  }
}
