/** Ends the sessions that are left, before the process exits. */

import { deadline } from '../lifetime/deadline.ts'
import type { SessionRegistry } from '../session/registry.ts'

/** How long sessions may take to tell their clients why; what runs inside is ended by the gateway's close(). */
const END_MS = 3_000

export async function hangUp(registry: SessionRegistry, reason: string): Promise<void> {
  registry.killAll(reason)
  await registry.drained(deadline(END_MS))
}
