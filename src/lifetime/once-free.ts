/** A place that the gateway before has until it has handed over. */
import { setTimeout as later } from 'node:timers/promises'
import { deadline } from './deadline.ts'

/** How often a successor looks whether the place is free. */
const AGAIN_MS = 100
/** Longer than a hand-over may take; who is there then is another program. */
const TAKE_OVER_MS = 90_000

/** Opens it as soon as `open` does not throw any more. @throws what `open` threw last */
export async function onceFree<T>(open: () => Promise<T>, stopped: AbortSignal): Promise<T> {
  const patience = deadline(TAKE_OVER_MS, stopped)
  for (;;) {
    try {
      return await open()
    } catch (error) {
      await later(AGAIN_MS, undefined, { signal: patience, ref: false }).catch(() => {
        throw error
      })
    }
  }
}
