/**
 * NTRU Prime's mixed-radix encoding: a list of numbers, each below its own modulus, packed into few bytes.
 * Neighbours are joined in pairs into one number below the product of their moduli; low bytes of a number that has
 * grown too large are put out at once; the halved list is packed the same way until one number is left
 * (NTRU Prime round 3 submission, "Encode" and "Decode"). Only public data passes here: timing does not matter.
 */

/** A pair's number is cut down below this before the next round. */
const MAX_MODULUS = 16384

export function encodeRadix(values: readonly number[], moduli: readonly number[]): Buffer {
  const bytes: number[] = []
  /** Puts out low bytes until the modulus is below the limit; what is left goes into the next round's lists. */
  const cut = (value: number, modulus: number, limit: number, nextValues: number[], nextModuli: number[]) => {
    while (modulus >= limit) {
      bytes.push(value & 255)
      value >>>= 8
      modulus = (modulus + 255) >>> 8
    }
    nextValues.push(value)
    nextModuli.push(modulus)
  }
  while (values.length > 1) {
    const nextValues: number[] = []
    const nextModuli: number[] = []
    for (let i = 0; i < values.length; i += 2) {
      const [low = 0, lowModulus = 1] = [values[i], moduli[i]]
      const [high = 0, highModulus = 1] = [values[i + 1], moduli[i + 1]]
      // A last number without a neighbour waits for the next round as it is.
      const limit = i + 1 < values.length ? MAX_MODULUS : Number.POSITIVE_INFINITY
      cut(low + high * lowModulus, lowModulus * highModulus, limit, nextValues, nextModuli)
    }
    values = nextValues
    moduli = nextModuli
  }
  cut(values[0] ?? 0, moduli[0] ?? 1, 2, [], [])
  return Buffer.from(bytes)
}

/** The inverse. Bytes that no encoder made give some numbers within the moduli all the same, and the same as OpenSSH's. */
export function decodeRadix(bytes: Buffer, moduli: readonly number[]): number[] {
  let position = 0

  const decode = (moduli: readonly number[]): number[] => {
    const last = moduli.length === 1
    const bottoms: number[] = []
    const weights: number[] = []
    const nextModuli: number[] = []
    for (let i = 0; i < moduli.length; i += 2) {
      let modulus = (moduli[i] ?? 1) * (moduli[i + 1] ?? 1)
      const limit = last ? 2 : i + 1 < moduli.length ? MAX_MODULUS : Number.POSITIVE_INFINITY
      let bottom = 0
      let weight = 1
      while (modulus >= limit) {
        bottom += bytes.readUInt8(position++) * weight
        weight *= 256
        modulus = (modulus + 255) >>> 8
      }
      bottoms.push(bottom)
      weights.push(weight)
      nextModuli.push(modulus)
    }
    const tops = last ? [0] : decode(nextModuli)
    return moduli.map((modulus, i) => {
      const pair = i >> 1
      const value = (bottoms[pair] ?? 0) + (weights[pair] ?? 1) * (tops[pair] ?? 0)
      return (i % 2 === 0 ? value : Math.floor(value / (moduli[i - 1] ?? 1))) % modulus
    })
  }
  return decode(moduli)
}
