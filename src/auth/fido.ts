/** Checks what a FIDO key's signature must show (PROTOCOL.u2f) by sshd's rules, and watches its counter. */
import type { Logger } from 'pino'
import { connectionFacts } from '../base/connection-facts.ts'
import type { Config } from '../config/schema.ts'
import { BoundedMap } from '../lifetime/bounded-map.ts'
import type { AuthContext } from '../ssh/auth.ts'
import type { FidoSignature } from '../ssh/public-key.ts'
import type { Identity } from './identity.ts'

/** The number of keys whose last counter is remembered. */
const MAX_KEYS = 10_000

/** Returns whether the signature shows the touch and the verification that are required. */
export type FidoCheck = (identity: Identity, shown: FidoSignature, context: AuthContext) => boolean

export function createFidoCheck(always: Config['pubkeyAuthOptions'], log: Logger): FidoCheck {
  const counters = new BoundedMap<string, number>(MAX_KEYS)

  /**
   * A token that counts never sends a number twice, unless it was copied. Logged and not refused: two logins at once
   * may arrive in another order than they were signed, and some tokens always send 0.
   */
  function look(identity: Identity, counter: number, context: AuthContext): void {
    const { fingerprint } = identity
    const last = counters.get(fingerprint)
    if (last !== undefined && counter <= last && last > 0) {
      const facts = { ...connectionFacts(context, identity), counter, last }
      log.warn(facts, 'the counter of a FIDO key went back: it may be a copy')
    }
    counters.set(fingerprint, Math.max(counter, last ?? 0))
  }

  return (identity, { touched, verified, counter }, context) => {
    const { touchRequired, verifyRequired } = identity.restrictions
    const missing = [
      ...(!touched && (touchRequired || always.includes('touch-required')) ? ['touch'] : []),
      ...(!verified && (verifyRequired || always.includes('verify-required')) ? ['verification of its user'] : []),
    ]
    look(identity, counter, context)
    if (missing.length === 0) return true
    const reason = `signed without ${missing.join(' and ')}`
    log.info({ ...connectionFacts(context, identity), reason }, 'key not accepted')
    return false
  }
}
