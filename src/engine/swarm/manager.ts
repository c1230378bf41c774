/**
 * A swarm as its manager knows it. There are no events of tasks, so it is asked: by whoever looks a name up, where the last
 * answer is older than they take it, all of them together, and in rounds while somebody follows the events.
 */
import { every } from '../../lifetime/every.ts'
import { onAbort, unlessAborted } from '../../lifetime/on-abort.ts'
import { parseOwnNode, parseSwarm, type SwarmState } from './state.ts'

/** One call of the manager's API; has a limit of its own. */
export type AskManager = (path: string) => Promise<unknown>

export interface SwarmManager {
  /**
   * The last answer if it is not older than that; else a new one, or where the manager does not answer the last one after all:
   * who has once been found is found while the manager is away.
   */
  state(oldestMs: number, signal: AbortSignal): Promise<SwarmState>
  /** The last answer, however old; undefined before the first. */
  readonly last: SwarmState | undefined
  /** Asks in rounds until the signal aborts. `heard` is told each answer and each failure. */
  follow(signal: AbortSignal, heard: (now: SwarmState | Error, before: SwarmState | undefined) => void): Promise<void>
}

/** How old a task's place may be, at most, while the manager answers. */
export const POLL_MS = 5_000

/** Who finds nothing, or what has ended, asks anew; but not one after the other for the same. */
export const ASK_AGAIN_MS = 1_000

/** What is replaced has another state that is wanted of it. */
const TASKS = `/tasks?filters=${encodeURIComponent(JSON.stringify({ 'desired-state': ['running', 'accepted'] }))}`

export function createSwarmManager(ask: AskManager, now: () => number = () => performance.now()): SwarmManager {
  let last: { readonly state: SwarmState; readonly at: number } | undefined
  let asking: Promise<SwarmState> | undefined
  /** The manager's own node, which stays the same. */
  let own: string | undefined
  /** When it last was asked in vain. */
  let failedAt = Number.NEGATIVE_INFINITY

  function fresh(): Promise<SwarmState> {
    if (asking !== undefined) return asking
    const at = now()
    // Tasks last: a service or a node that has just come is then known.
    const asked = Promise.all([ask('/services'), ask('/nodes'), own ?? ask('/info').then(parseOwnNode)])
      .then(async ([services, nodes, id]) => {
        own = id
        return parseSwarm(services, nodes, await ask(TASKS), id)
      })
      .then((state) => {
        last = { state, at }
        failedAt = Number.NEGATIVE_INFINITY
        return state
      })
      .catch((error: unknown) => {
        failedAt = now()
        throw error
      })
      .finally(() => {
        asking = undefined
      })
    asking = asked
    return asked
  }

  return {
    get last() {
      return last?.state
    },

    async state(oldestMs, signal) {
      signal.throwIfAborted()
      const old = last !== undefined && now() - last.at > oldestMs
      // One that hangs is not waited for by everybody who looks a name up.
      if (last !== undefined && (!old || now() - failedAt < POLL_MS)) return last.state
      try {
        return await unlessAborted(fresh(), signal)
      } catch (error) {
        signal.throwIfAborted()
        if (last === undefined) throw error
        return last.state
      }
    },

    async follow(signal, heard) {
      const rounds = every(
        POLL_MS,
        async () => {
          const before = last?.state
          heard(await fresh(), before)
        },
        (error) => heard(error instanceof Error ? error : new Error(String(error)), last?.state),
      )
      await new Promise((resolve) => onAbort(signal, resolve))
      await rounds.stop()
    },
  }
}
