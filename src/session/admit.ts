/**
 * What decides at the login: does the login name lead anywhere for the proved identity? Asked after the proof, before any
 * session.
 */

import type { Logger } from 'pino'
import type { Identity } from '../auth/identity.ts'
import { connectionFacts } from '../base/connection-facts.ts'
import { asHatchwayError, type FailureCode } from '../base/errors.ts'
import { engineLimit } from '../engine/messages.ts'
import { fullName } from '../engine/ref.ts'
import { withDeadline } from '../lifetime/deadline.ts'
import { unlessAborted } from '../lifetime/on-abort.ts'
import type { Origin } from '../policy/request.ts'
import type { Admittance, AuthContext } from '../ssh/auth.ts'
import type { Destinations, Led } from './destination.ts'

/** An engine that is asked longer at the login goes on being asked in the session, which can say why. */
const ADMIT_MS = 10_000

/** Failures that sshd would answer with "Permission denied": nobody of that name here, or nobody one may be. */
const UNKNOWN: readonly FailureCode[] = [
  'CONTAINER_NOT_FOUND',
  'CONTAINER_AMBIGUOUS',
  'USER_NOT_FOUND',
  'USER_BROKEN',
  'NOT_PERMITTED',
]

/** Refuses when the login name leads nowhere for this identity. */
export type Admit = (identity: Identity, context: AuthContext) => Promise<Admittance>

/** @param led takes where the login leads, of a container that is there */
export function createAdmit(destinations: Pick<Destinations, 'routeFor' | 'check'>, led: Led, log: Logger): Admit {
  return async (identity, context) => {
    const origin = originOf(context)
    const route = destinations.routeFor(origin)
    try {
      const limit = engineLimit('asking for a container', ADMIT_MS)
      const container = await withDeadline(limit, [context.signal], (signal) =>
        unlessAborted(destinations.check({ identity, origin }, route, signal), signal),
      )
      if (!container) return {}
      led(context.signal, container)
      return { leadsTo: fullName(container) }
    } catch (error) {
      // An engine that is down or hangs is told in the session, where it may have come back.
      const failure = asHatchwayError(error)
      if (!UNKNOWN.includes(failure.code)) return {}
      log.info({ ...connectionFacts(context, identity), code: failure.code }, failure.message)
      return { refusal: `hatchway: ${failure.message}` }
    }
  }
}

/** A login, as the policy and the destinations see it. */
export function originOf(context: Pick<AuthContext, 'connectionId' | 'user' | 'host' | 'remote'>): Origin {
  const { connectionId, user, host, remote } = context
  return { connectionId, login: user, ...(host !== undefined && { host }), remote }
}
