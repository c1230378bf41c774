/** Checks what a FIDO key's signature must show (PROTOCOL.u2f) by sshd's rules, and watches its counter. */
import type { Logger } from 'pino'
import type { Config } from '../config/schema.ts'
import { BoundedMap } from '../lifetime/bounded-map.ts'
import type { FidoSignature } from '../ssh/public-key.ts'
import type { Identity } from './identity.ts'

/** The number of keys whose last counter is remembered. */
const MAX_KEYS = 10_000

/** Returns whether the signature shows the touch and the verification that are required. */
export type FidoCheck = (identity: Identity, shown: FidoSignature) => boolean

export function createFidoCheck(always: Config['pubkeyAuthOptions'], log: Logger): FidoCheck {
  const counters = new BoundedMap<string, number>(MAX_KEYS)

  /**
   * A token that counts never sends a number twice, unless it was copied. Logged and not refused: two logins at once
   * may arrive in another order than they were signed, and some tokens always send 0.
   */
  function look({ fingerprint, name }: Identity, counter: number): void {
    const last = counters.get(fingerprint)
    if (last !== undefined && counter <= last && last > 0) {
      log.warn({ identity: name, fingerprint, counter, last }, 'the counter of a FIDO key went back: it may be a copy')
    }
    counters.set(fingerprint, Math.max(counter, last ?? 0))
  }

  return (identity, { touched, verified, counter }) => {
    const { touchRequired, verifyRequired } = identity.restrictions
    const missing = [
      ...(!touched && (touchRequired || always.includes('touch-required')) ? ['touch'] : []),
      ...(!verified && (verifyRequired || always.includes('verify-required')) ? ['verification of its user'] : []),
    ]
    look(identity, counter)
    if (missing.length === 0) return true
    log.info({ identity: identity.name, reason: `signed without ${missing.join(' and ')}` }, 'key not accepted')
    return false
  }
}
