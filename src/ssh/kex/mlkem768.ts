/** ML-KEM-768 (FIPS 203) encapsulation: OpenSSL's where node has it (24.7 on), else @noble/post-quantum's. */
import crypto, { createPublicKey, type KeyObject } from 'node:crypto'
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import type { Encapsulation, Kem } from './kem.ts'

/** SubjectPublicKeyInfo around a raw 1184-byte key, id-alg-ml-kem-768 (draft-ietf-lamps-kyber-certificates). */
const SPKI_PREFIX = Buffer.from('308204b2300b0609608648016503040402038204a100', 'hex')

export const mlkem768: Kem = { publicKeyLength: 1184, encapsulate: nodeEncapsulation() ?? encapsulateWithNoble }

/** Checks the key's coefficients (FIPS 203, 7.2) and throws if one is out of range, as OpenSSL does. */
export function encapsulateWithNoble(publicKey: Buffer): Encapsulation {
  const { cipherText, sharedSecret } = ml_kem768.encapsulate(publicKey)
  return { ciphertext: Buffer.from(cipherText), sharedSecret: Buffer.from(sharedSecret) }
}

/** Undefined where node or the OpenSSL under it has no ML-KEM; tried once, since a version number does not tell. */
export function nodeEncapsulation(): ((publicKey: Buffer) => Encapsulation) | undefined {
  const node: object = crypto
  if (!hasEncapsulate(node)) return undefined
  const encapsulate = (publicKey: Buffer): Encapsulation => {
    const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' })
    const { ciphertext, sharedKey } = node.encapsulate(key)
    return { ciphertext, sharedSecret: sharedKey }
  }
  try {
    // A key whose coefficients are all zero is well formed; what is encapsulated to it is thrown away.
    encapsulate(Buffer.alloc(1184))
    return encapsulate
  } catch {
    return undefined
  }
}

/** @types/node 20 does not know this function. */
interface NodeWithKem {
  readonly encapsulate: (key: KeyObject) => { readonly ciphertext: Buffer; readonly sharedKey: Buffer }
}

function hasEncapsulate(node: object): node is NodeWithKem {
  return 'encapsulate' in node && typeof node.encapsulate === 'function'
}
