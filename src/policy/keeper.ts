/**
 * The policy in force, which a reload replaces, and what it has let in: sessions and forwards that still go on, to be
 * asked about again when the rules change or time passes.
 */
import type { Logger } from 'pino'
import type { Identity } from '../auth/identity.ts'
import { createPolicy, type Decision, type Policy, type PolicySettings, type Request } from './policy.ts'

export interface PolicyKeeper {
  readonly decide: Policy
  /** For all that is asked from now on. */
  use(settings: PolicySettings): void
  readonly hold: Hold
  /** Ask again about all that goes on; answers how much of it was ended. */
  review(): Promise<number>
  /** Who somebody is today, as every action is decided; undefined: nobody who could log in any more. */
  readonly today: Renew
  /** People or their keys may have changed: look again, each at the next question. */
  forget(): void
}

export type Renew = (identity: Identity) => Promise<Identity | undefined>

/** All of it is permitted now; `end` is called once when one is not any more. Answers how to let go. */
export type Hold = (requests: readonly Request[], end: () => void) => () => void

interface Held {
  readonly requests: readonly Request[]
  readonly end: () => void
}

export const GONE = {
  allowed: false,
  by: 'nobody who could log in any more',
  reason: 'what you logged in with is not accepted any more',
} as const satisfies Decision

/** @param renew may read files: it is asked once for each connection until `forget` */
export function createPolicyKeeper(settings: PolicySettings, renew: Renew, log: Logger): PolicyKeeper {
  let policy = createPolicy(settings)
  const held = new Set<Held>()
  let known = new WeakMap<Identity, Promise<Identity | undefined>>()

  function today(identity: Identity): Promise<Identity | undefined> {
    const found = known.get(identity)
    if (found) return found
    const [asked, here] = [renew(identity), known]
    here.set(identity, asked)
    asked.then(
      (found) => found ?? log.info({ identity: identity.name, fingerprint: identity.fingerprint }, GONE.by),
      () => here.delete(identity),
    )
    return asked
  }

  async function decide(request: Request): Promise<Decision> {
    const identity = await today(request.identity)
    return identity ? policy({ ...request, identity }) : GONE
  }

  return {
    decide,
    today,
    forget() {
      known = new WeakMap()
    },
    use(next) {
      policy = createPolicy(next)
    },
    hold(requests, end) {
      const entry = { requests, end }
      held.add(entry)
      return () => held.delete(entry)
    },
    async review() {
      let ended = 0
      for (const entry of [...held]) {
        for (const request of entry.requests) {
          const decision = await decide(request)
          if (decision.allowed || !held.delete(entry)) continue
          const { by } = decision
          const { identity, origin, container, user, action } = request
          const where = { connection: origin.connectionId, identity: identity.name, container: container.name }
          log.warn({ ...where, user: user?.name, action: action.kind, by }, 'withdrawn')
          entry.end()
          ended++
        }
      }
      return ended
    },
  }
}
