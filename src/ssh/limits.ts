/** MaxStartups, sshd_config(5): random early drop of connections that are not yet authenticated. */
import { randomInt } from 'node:crypto'

export interface MaxStartups {
  readonly start: number
  readonly rate: number
  readonly full: number
}

/** sshd.c should_drop_connection(): from `start` on with `rate` percent, rising to all at `full`. */
export function shouldDrop(startups: number, limit: MaxStartups, random = () => randomInt(100)): boolean {
  if (startups < limit.start) return false
  if (startups >= limit.full || limit.rate >= 100) return true
  const slope = ((100 - limit.rate) * (startups - limit.start)) / (limit.full - limit.start)
  return random() < limit.rate + slope
}
