/**
 * Our sntrup761 against OpenSSH's. sntrup761.vectors.json was made by linking OpenSSH 9.2p1's unmodified sntrup761.c
 * (Debian source package openssh 1:9.2p1-2+deb12u10) with a small C program that supplies its arc4random_buf() from the
 * stream below, encapsulates to the public key of each vector and prints the outcome. "keypair": a key the C code made,
 * the secret checked by its decapsulation; "random", "zeros", "ones": bytes that are no encoded key, which a client
 * may send.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { encapsulateSntrup761 } from '../../../src/ssh/kex/sntrup761.ts'

const vectors = z
  .array(
    z.object({
      publicKeyIs: z.string(),
      randomSeed: z.string(),
      publicKey: z.base64(),
      ciphertext: z.base64(),
      sharedSecret: z.string(),
    }),
  )
  .min(10)
  .parse(JSON.parse(readFileSync(new URL('sntrup761.vectors.json', import.meta.url), 'utf8')))

describe('sntrup761 encapsulation', () => {
  test.each(vectors.map((vector, i) => ({ i, ...vector })))(
    'gives what OpenSSH gives for vector $i ($publicKeyIs)',
    ({ randomSeed, publicKey, ciphertext, sharedSecret }) => {
      const made = encapsulateSntrup761(Buffer.from(publicKey, 'base64'), stream(randomSeed, 4 * 761))
      expect(made.ciphertext.toString('base64')).toBe(ciphertext)
      expect(made.sharedSecret.toString('hex')).toBe(sharedSecret)
    },
  )

  test('draws a new secret each time', () => {
    const publicKey = Buffer.from(vectors[0]!.publicKey, 'base64')
    expect(encapsulateSntrup761(publicKey).sharedSecret).not.toEqual(encapsulateSntrup761(publicKey).sharedSecret)
  })
})

/** SHA-512(seed || 32-bit little-endian counter), block after block. */
function stream(seed: string, length: number): Buffer {
  const blocks: Buffer[] = []
  for (let counter = 0; blocks.length * 64 < length; counter++) {
    const suffix = Buffer.alloc(4)
    suffix.writeUInt32LE(counter)
    blocks.push(createHash('sha512').update(Buffer.from(seed, 'hex')).update(suffix).digest())
  }
  return Buffer.concat(blocks).subarray(0, length)
}
