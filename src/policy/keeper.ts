/**
 * The policy in force, which a reload replaces, and what it has let in: sessions and forwards that still go on, to be
 * asked about again when the rules change or time passes.
 */
import type { Logger } from 'pino'
import type { Identity } from '../auth/identity.ts'
import { createPolicy, type Policy, type PolicySettings, type Request } from './policy.ts'

export interface PolicyKeeper {
  readonly decide: Policy
  /** For all that is asked from now on. */
  use(settings: PolicySettings): void
  readonly hold: Hold
  /**
   * Ask again about all that goes on; answers how much of it was ended.
   * @param renew who somebody is today; undefined: nobody who could log in any more
   */
  review(renew: (identity: Identity) => Promise<Identity | undefined>): Promise<number>
}

/** All of it is permitted now; `end` is called once when one is not any more. Answers how to let go. */
export type Hold = (requests: readonly Request[], end: () => void) => () => void

interface Held {
  readonly requests: readonly Request[]
  readonly end: () => void
}

export function createPolicyKeeper(settings: PolicySettings, log: Logger): PolicyKeeper {
  let policy = createPolicy(settings)
  const held = new Set<Held>()

  async function refusal(request: Request, renew: (identity: Identity) => Promise<Identity | undefined>) {
    const identity = await renew(request.identity)
    if (!identity) return 'nobody who could log in any more'
    const decision = await policy({ ...request, identity })
    return decision.allowed ? undefined : decision.by
  }

  return {
    decide: (request) => policy(request),
    use(next) {
      policy = createPolicy(next)
    },
    hold(requests, end) {
      const entry = { requests, end }
      held.add(entry)
      return () => held.delete(entry)
    },
    async review(renew) {
      let ended = 0
      for (const entry of [...held]) {
        for (const request of entry.requests) {
          const by = await refusal(request, renew)
          if (by === undefined || !held.delete(entry)) continue
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
