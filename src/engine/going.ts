/**
 * Notices that an engine is going. dockerd that stops or restarts takes no new connections first, then stops its containers,
 * each with its time, and goes on serving the connections it has (cmd/dockerd/daemon.go): its event stream breaks at the end.
 */
import type { ParsedEvent } from './json.ts'

const AT_MOST_EVERY_MS = 1_000

/** @param isReachable by a new connection; returns whether the engine that tells of this event is going */
export function createGoingCheck(isReachable: () => Promise<boolean>): (event: ParsedEvent) => Promise<boolean> {
  let checkedAt = Number.NEGATIVE_INFINITY
  return async ({ action }) => {
    if (action !== 'kill' || performance.now() - checkedAt < AT_MOST_EVERY_MS) return false
    checkedAt = performance.now()
    return !(await isReachable())
  }
}
