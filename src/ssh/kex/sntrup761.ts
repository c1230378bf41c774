/**
 * Streamlined NTRU Prime, parameter set sntrup761: encapsulation only, which is all a server needs
 * (NTRU Prime round 3 submission; the same function as OpenSSH's sntrup761.c, against which it is tested).
 *
 * Timing. The secret is the short polynomial r, drawn anew for every exchange and used once. The work on r - the sort
 * that places its coefficients, the product, the rounding, the packing - takes the same steps and touches the same
 * memory whatever r is, with no branch and no division that depends on it. That is what the source says; JavaScript
 * makes no promise about the machine code, the engine may choose otherwise, and copies of r stay in memory until they
 * are overwritten. An attacker has one run to observe for each secret, and must break X25519 as well, so we judge this
 * enough here. It would not be enough for decapsulation, where one key is used many times. Nobody has audited it.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { Encapsulation, Kem } from './kem.ts'
import { decodeRadix, encodeRadix } from './radix.ts'
import { sortObliviously } from './sort.ts'

/** Polynomials have P coefficients modulo x^P - x - 1; public keys have theirs modulo Q; r has WEIGHT that are not 0. */
const P = 761
const Q = 4591
const WEIGHT = 286
const HALF_Q = (Q - 1) / 2

/** Coefficients of a public key run from 0 to Q - 1; those of a ciphertext are multiples of 3, sent divided by it. */
const PUBLIC_KEY_MODULI: readonly number[] = new Array(P).fill(Q)
const CIPHERTEXT_MODULI: readonly number[] = new Array(P).fill((Q + 2) / 3)

export const sntrup761: Kem = { publicKeyLength: 1158, encapsulate: encapsulateSntrup761 }

/** `random` is an argument for the known-answer tests alone: 4 bytes for each coefficient of r. */
export function encapsulateSntrup761(publicKey: Buffer, random: Buffer = randomBytes(4 * P)): Encapsulation {
  const h = Int32Array.from(decodeRadix(publicKey, PUBLIC_KEY_MODULI), (coefficient) => coefficient - HALF_Q)
  const r = shortPolynomial(random)
  const rounded = encodeRadix(roundToThirds(multiply(h, r)), CIPHERTEXT_MODULI)

  const rHash = hash(3, packSmall(r))
  const confirmation = hash(2, rHash, hash(4, publicKey))
  const ciphertext = Buffer.concat([rounded, confirmation])
  return { ciphertext, sharedSecret: hash(1, rHash, ciphertext) }
}

/** WEIGHT coefficients of 1 or -1 and the rest 0, in a random order: sorted by 30 random bits, what they are in the low 2. */
function shortPolynomial(random: Buffer): Int32Array {
  const list = new Int32Array(P)
  for (let i = 0; i < P; i++) {
    const bits = random.readInt32LE(4 * i)
    const marked = i < WEIGHT ? bits & ~1 : (bits & ~3) | 1
    // The order of the specification is that of unsigned numbers.
    list[i] = marked ^ 0x80000000
  }
  sortObliviously(list)
  return list.map((marked) => (marked & 3) - 1)
}

/** h * r, not yet reduced modulo Q: at most 3 * 761 * 2295, far below 2^31. */
function multiply(h: Int32Array, r: Int32Array): Int32Array {
  // Four coefficients of r in one pass over h: the pass is bound by reading and writing `product`. Zeros around both.
  const shifted = new Int32Array(P + 6)
  shifted.set(h, 3)
  const product = new Int32Array(2 * P + 2)
  for (let i = 0; i < P; i += 4) {
    const [r0 = 0, r1 = 0, r2 = 0, r3 = 0] = r.subarray(i, i + 4)
    for (let j = 0; j < P + 3; j++) {
      // Math.imul, as 0 * -1 would be -0, and the engine leaves integers for that.
      const terms =
        Math.imul(r0, shifted[j + 3] ?? 0) +
        Math.imul(r1, shifted[j + 2] ?? 0) +
        Math.imul(r2, shifted[j + 1] ?? 0) +
        Math.imul(r3, shifted[j] ?? 0)
      product[i + j] = ((product[i + j] ?? 0) + terms) | 0
    }
  }
  // x^P = x + 1
  for (let i = 2 * P - 2; i >= P; i--) {
    const coefficient = product[i] ?? 0
    product[i - P] = (product[i - P] ?? 0) + coefficient
    product[i - P + 1] = (product[i - P + 1] ?? 0) + coefficient
  }
  return product.subarray(0, P)
}

/**
 * Each coefficient reduced to -HALF_Q..HALF_Q, rounded to the nearest multiple of 3, and that as a number from 0 up.
 * Division by rounding a product: exact here, as a quotient by an odd number is never within 1/(2Q) of a half, and
 * doubles are off by less than 2^-28.
 */
function roundToThirds(product: Int32Array): number[] {
  return Array.from(product, (coefficient) => {
    const reduced = coefficient - Q * Math.round(coefficient * (1 / Q))
    return Math.round(reduced * (1 / 3)) + HALF_Q / 3
  })
}

/** Coefficients -1..1 as 2 bits each, four in a byte, the first lowest. */
function packSmall(small: Int32Array): Buffer {
  const packed = Buffer.alloc(Math.ceil(P / 4))
  small.forEach((coefficient, i) => {
    packed[i >> 2] = (packed[i >> 2] ?? 0) | ((coefficient + 1) << (2 * (i & 3)))
  })
  return packed
}

/** Half of SHA-512, with a first byte that says what for. */
function hash(purpose: number, ...parts: Buffer[]): Buffer {
  const sha512 = createHash('sha512').update(Buffer.of(purpose))
  for (const part of parts) sha512.update(part)
  return sha512.digest().subarray(0, 32)
}
