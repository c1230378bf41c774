/**
 * No refusal sooner than that, so that what was looked up for it does not show, as sshd's ensure_minimum_time_since()
 * (auth2.c): a few milliseconds, doubled until it is past the time spent. sshd's differs from user to user by a secret;
 * here it is one for all, as names here are tried for containers and people both, and must not differ at all.
 */
const LEAST_MS = 5
const MOST_MS = 5_000

/** Milliseconds still to wait when `elapsed` were spent. */
export function refusalDelay(elapsed: number): number {
  let least = LEAST_MS
  while (least < elapsed && least < MOST_MS) least *= 2
  return Math.max(0, least - elapsed)
}
