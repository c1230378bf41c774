/**
 * For tests that feed made-up inputs to what strangers, containers and files are read by. They are the same in every run, so a
 * failure can be seen again. The suite tries a fifth of them, `npm run fuzz` all, and with a number many times as many.
 */
const SHARE = Number(process.env.HATCHWAY_TEST_FUZZ ?? 0.2)

/** Returns how many of `count` inputs this run tries. */
export const inputs = (count: number): number => Math.ceil(count * SHARE)

/** How long all of them may take. */
export const FUZZ_LIMIT_MS = 120_000 + 300_000 * SHARE

/** Returns a whole number from 0 to `limit` - 1. */
export type Below = (limit: number) => number

/** mulberry32: small, and good enough to mutate. */
export function random(seed: number): Below {
  let state = seed
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
}

/** Returns one of `items`, which are not empty. */
export const pick = <T>(items: readonly T[], below: Below): T => items[below(items.length)] as T

/** Returns a copy with one to four changes: bits, bytes, lengths, pieces put in, cut out or doubled, the end cut off. */
export function mutated(seed: Buffer, below: Below): Buffer {
  let bytes = Buffer.from(seed)
  for (let change = below(4); change >= 0; change--) {
    const at = below(bytes.length || 1)
    const length = 1 + below(16)
    const kind = below(7)
    if (kind === 0 && bytes.length > 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8))
    else if (kind === 1 && bytes.length > 0) bytes[at] = below(256)
    else if (kind === 2 && at + 4 <= bytes.length)
      bytes.writeUInt32BE(pick([0, 1, 5, 0xff, 0x7fffffff, 0xffffffff, bytes.length], below), at)
    else if (kind === 3) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
    else if (kind === 4) bytes = Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)])
    else if (kind === 5) bytes = Buffer.concat([bytes.subarray(0, at), Buffer.of(below(256)), bytes.subarray(at)])
    else bytes = bytes.subarray(0, at)
  }
  return bytes
}
