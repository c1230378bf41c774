import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import { describe, expect, test } from 'vitest'
import { encapsulateWithNoble, nodeEncapsulation } from '../../../src/ssh/kex/mlkem768.ts'

const ways = [
  { way: '@noble/post-quantum', encapsulate: encapsulateWithNoble },
  { way: 'node:crypto', encapsulate: nodeEncapsulation() },
]

describe.for(ways)('ML-KEM-768 by $way', ({ encapsulate }) => {
  test('gives the secret that the owner of the key decapsulates', (context) => {
    if (!encapsulate) return context.skip(`node ${process.version} has no ML-KEM (24.7 has)`)
    const { publicKey, secretKey } = ml_kem768.keygen()
    const { ciphertext, sharedSecret } = encapsulate(Buffer.from(publicKey))
    expect(Buffer.from(ml_kem768.decapsulate(ciphertext, secretKey))).toEqual(sharedSecret)
  })

  test('refuses a key with a coefficient out of range', (context) => {
    if (!encapsulate) return context.skip(`node ${process.version} has no ML-KEM (24.7 has)`)
    expect(() => encapsulate(Buffer.alloc(1184, 0xff))).toThrow()
  })
})
