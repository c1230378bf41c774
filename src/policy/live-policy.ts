/**
 * The policy in force, which a reload replaces, and what it has let in: sessions and forwards that still go on, to be
 * asked about again when the rules change or time passes.
 */
import type { Logger } from 'pino'
import type { Identity } from '../auth/identity.ts'
import { unlessAborted } from '../lifetime/on-abort.ts'
import { createPolicy, type Policy, type PolicySettings } from './policy.ts'
import { type PolicyEvent, policyEvent } from './policy-events.ts'
import { type Decision, type Request, requestFacts } from './request.ts'

export interface PolicyKeeper {
  readonly decide: Policy
  /** For all that is asked from now on. */
  use(settings: PolicySettings): void
  readonly hold: Hold
  /**
   * Ask again about all that goes on, each on its own. Returns how much of it was ended. Reviews do not overlap: a
   * caller during one gets the next, which begins with the rules of then. Rejects where the signal aborts.
   */
  review(signal: AbortSignal): Promise<number>
  /** The identity as it is today, by which every action is decided; undefined: it could not log in any more. */
  readonly today: Renew
  /** People or their keys may have changed: look again, each at the next question. */
  forget(): void
}

export type Renew = (identity: Identity) => Promise<Identity | undefined>

/** Of one review; an external authorization has limits of its own. */
const REVIEWED_AT_ONCE = 8

/**
 * All of it is permitted now; `end` is called once when one is not any more. Returns how to let go.
 * `readOnly`: its sftp only reads; one that writes ends, too, when it may only read from now on.
 */
export type Hold = (requests: readonly Request[], end: () => void, readOnly: boolean) => () => void

interface Held {
  readonly requests: readonly Request[]
  readonly end: () => void
  readonly readOnly: boolean
}

export const NOT_ACCEPTED_ANY_MORE = {
  allowed: false,
  by: 'nobody who could log in any more',
  reason: 'what you logged in with is not accepted any more',
} as const satisfies Decision

/** @param renew may read files: it is asked once for each connection until `forget` */
export function createPolicyKeeper(
  settings: PolicySettings,
  renew: Renew,
  log: Logger,
  emit: (event: PolicyEvent) => void = () => {},
): PolicyKeeper {
  let policy = createPolicy(settings)
  const held = new Set<Held>()
  let known = new WeakMap<Identity, Promise<Identity | undefined>>()
  let latest: Promise<unknown> = Promise.resolve()
  let coming: Promise<number> | undefined

  function today(identity: Identity): Promise<Identity | undefined> {
    const found = known.get(identity)
    if (found) return found
    const [asked, here] = [renew(identity), known]
    here.set(identity, asked)
    asked.then(
      (found) =>
        found ?? log.info({ identity: identity.name, fingerprint: identity.fingerprint }, NOT_ACCEPTED_ANY_MORE.by),
      () => here.delete(identity),
    )
    return asked
  }

  /** Somebody else may take their time, and the rules or the people be others by then: then it is asked again. */
  async function decide(request: Request): Promise<Decision> {
    for (;;) {
      const [rules, people] = [policy, known]
      const identity = await today(request.identity)
      const decision = identity ? await rules({ ...request, identity }) : NOT_ACCEPTED_ANY_MORE
      if (rules === policy && people === known) return decision
    }
  }

  /** True: it was ended. */
  async function reviewOne(entry: Held, signal: AbortSignal): Promise<boolean> {
    for (const request of entry.requests) {
      if (!held.has(entry)) return false
      const decision = await unlessAborted(decide(request), signal)
      const narrower = request.action.kind === 'sftp' && decision.allowed && decision.readOnly && !entry.readOnly
      if (decision.allowed && !narrower) continue
      if (!held.delete(entry)) return false
      emit(policyEvent('withdrawn', request, decision))
      entry.end()
      return true
    }
    return false
  }

  async function reviewAll(signal: AbortSignal): Promise<number> {
    const queue = [...held].values()
    let ended = 0
    const ask = async () => {
      for (const entry of queue) {
        try {
          if (await reviewOne(entry, signal)) ended++
        } catch (error) {
          signal.throwIfAborted()
          const [request] = entry.requests
          const facts = request && requestFacts(request)
          log.error({ ...facts, err: error }, 'what goes on could not be reviewed; it goes on')
        }
      }
    }
    await Promise.all(Array.from({ length: REVIEWED_AT_ONCE }, ask))
    return ended
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
    hold(requests, end, readOnly) {
      const entry = { requests, end, readOnly }
      held.add(entry)
      return () => held.delete(entry)
    },
    review(signal) {
      coming ??= latest.then(() => {
        coming = undefined
        return reviewAll(signal)
      })
      latest = coming.catch(() => undefined)
      return coming
    },
  }
}
