/** A sort whose steps do not depend on what is sorted. */

/**
 * Sorts 32-bit numbers in place by a sorting network (Batcher's merge exchange: Knuth, TAOCP 3, 5.2.2, algorithm M):
 * which places are compared depends on the length only, and compare-exchange is arithmetic, not a branch.
 */
export function sortObliviously(numbers: Int32Array): void {
  const count = numbers.length
  if (count < 2) return
  const top = 1 << (31 - Math.clz32(count - 1))
  for (let p = top; p > 0; p >>= 1) {
    let distance = p
    for (let q = top, r = 0; ; q >>= 1, r = p) {
      for (let i = 0; i < count - distance; i++) if ((i & p) === r) compareExchange(numbers, i, i + distance)
      if (q === p) break
      distance = q - p
    }
  }
}

/** The smaller to i, the larger to j. The subtraction may overflow 32 bits; the second line of `swap` mends its sign. */
function compareExchange(numbers: Int32Array, i: number, j: number): void {
  const a = numbers[i] ?? 0
  const b = numbers[j] ?? 0
  const difference = a ^ b
  let swap = (b - a) | 0
  swap ^= difference & (swap ^ b)
  swap = (swap >> 31) & difference
  numbers[i] = a ^ swap
  numbers[j] = b ^ swap
}
