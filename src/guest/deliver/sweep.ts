/** At start: what gateways that were killed in the middle of a delivery left in containers and on the engine. */

import { isFailure } from '../../base/errors.ts'
import { type Engine, enginesOf } from '../../engine/engine.ts'
import { withDeadline } from '../../lifetime/deadline.ts'
import type { GuestLog } from '../log.ts'
import type { Serve } from '../serve.ts'
import type { Journal } from './journal.ts'
import { removeHelper } from './remove.ts'

const LIMIT_MS = 60_000

/** Never throws: an engine that is down now is swept at the next start. */
export async function sweep(
  engine: Engine,
  serve: Serve,
  journal: Journal,
  log: GuestLog,
  closed: AbortSignal,
): Promise<void> {
  await withDeadline(LIMIT_MS, [closed], async (signal) => {
    const holders = ({ holders }: Engine) =>
      holders?.sweep(signal).then(
        (count) => count > 0 && log.info({ count }, 'removed holder containers that a killed gateway left'),
        () => {},
      )
    await Promise.all(enginesOf(engine).map(holders))
    for (const { containerId, path, done } of await journal.unfinished()) {
      if (signal.aborted) return
      try {
        const container = await engine.inspect(containerId, signal)
        if (await removeHelper(engine, serve, container, path)) await done()
      } catch (error) {
        // A stopped container keeps the file and its entry until it runs again.
        if (isFailure(error, 'CONTAINER_NOT_FOUND')) await done()
      }
    }
  })
}
