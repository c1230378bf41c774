/** The end of sessions that do not end by themselves, before the process goes. */
import type { SessionRegistry } from '../session/registry.ts'

/** How long sessions may take to say that they ended. */
const END_LIMIT = 3_000
/** They are over then, but on the plain road what ends their processes is an engine exec that is still on its way. */
const HANGUP_TIME = 1_500

export async function hangUp(registry: SessionRegistry, reason: string): Promise<void> {
  registry.killAll(reason)
  await registry.drained(AbortSignal.timeout(END_LIMIT))
  // A session that was let go counts as ended by HUP.
  const justCut = registry
    .list({ stopped: true })
    .some(({ end, stoppedAt = 0 }) => end && !('code' in end) && Date.now() - stoppedAt < HANGUP_TIME)
  if (justCut) await later(HANGUP_TIME)
}

export function later(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds)
  })
}
