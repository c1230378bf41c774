/** Limits as sshd_config(5) names them, and MaxStartups' random early drop. */
import { randomInt } from 'node:crypto'
import type { Block } from '../net/address.ts'
import type { ChannelTimeout } from './channel-timeouts.ts'
import type { NetBlockSize, PenaltySettings } from './penalties.ts'

/** Times are milliseconds. Defaults are in the configuration's schema. */
export interface SshLimits {
  readonly maxAuthTries: number
  /** 0: none. */
  readonly loginGraceTime: number
  /** Of connections not yet authenticated. */
  readonly maxStartups: MaxStartups
  /** Of one source; 0: none. */
  readonly perSourceMaxStartups: number
  /** What one source is: the first bits of an address. */
  readonly perSourceNetBlockSize: NetBlockSize
  readonly perSourcePenalties: PenaltySettings
  readonly perSourcePenaltyExemptList: readonly Block[]
  /** RefuseConnection, for these sources. */
  readonly refuseConnection: readonly Block[]
  /** Per connection. */
  readonly maxSessions: number
  /** Between keepalives to the client, 0: none. */
  readonly clientAliveInterval: number
  /** 0: never ended. */
  readonly clientAliveCountMax: number
  /** Rekey after that many bytes in one direction or that time; 0: never by that. */
  readonly rekeyLimit: { readonly bytes: number; readonly milliseconds: number }
  /** The first pattern that fits a channel's type is its timeout. */
  readonly channelTimeout: readonly ChannelTimeout[]
  /** Of a connection without a channel; 0: none. */
  readonly unusedConnectionTimeout: number
}

export interface MaxStartups {
  readonly start: number
  readonly rate: number
  readonly full: number
}

/** sshd.c should_drop_connection(): from `start` on with `rate` percent, rising to all at `full`. */
export function shouldDrop(startups: number, limit: MaxStartups, random = () => randomInt(100)): boolean {
  if (startups < limit.start) return false
  if (startups >= limit.full || limit.rate >= 100) return true
  // Whole percents, as sshd's integers have them.
  const slope = Math.floor(((100 - limit.rate) * (startups - limit.start)) / (limit.full - limit.start))
  return random() < limit.rate + slope
}
