/**
 * No refusal sooner than that, so that what was looked up for it does not show: sshd's ensure_minimum_time_since()
 * (auth2.c). From a few milliseconds on it doubles until it is past the time spent; where it ends differs from user to
 * user, and nobody outside can know by how much.
 */
import { createHmac, randomBytes } from 'node:crypto'

const LEAST = 5
const SPREAD = 4.3
const MOST = 5_000
const secret = randomBytes(32)

/** Milliseconds still to wait when `elapsed` were spent. */
export function refusalDelay(user: string, elapsed: number): number {
  const hash = createHmac('sha256', secret).update(user).digest().readUInt32BE(0)
  let least = LEAST + (hash / 2 ** 32) * SPREAD
  while (least < elapsed && least < MOST) least *= 2
  return Math.max(0, least - elapsed)
}
