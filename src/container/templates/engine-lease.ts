/**
 * A gateway's lease on an engine: says to gateways on other machines that this one lives. Held while it has fresh containers
 * there: a mark that is replaced by another one again and again (lease-watch.ts).
 */
import type { Logger } from 'pino'
import type { Marks } from '../../engine/engine.ts'
import { deadline } from '../../lifetime/deadline.ts'
import { every, type Rounds } from '../../lifetime/every.ts'
import { newLeaseName, RENEW_EVERY_MS } from './lease-watch.ts'

/** Somebody waits for a container: an engine that is slow here has it made without a lease. */
const CALL_MS = 5_000

export interface EngineLease {
  /** Is there a mark? The first who asks has one put. */
  held(): Promise<boolean>
  /** Nothing of it stays on an engine that answers. Idempotent. */
  close(): Promise<void>
}

/** @param wanted is there anything to hold it for? */
export function createEngineLease(
  marks: Marks,
  instance: string,
  wanted: () => boolean,
  log: Logger,
  renewMs: number = RENEW_EVERY_MS,
): EngineLease {
  /** Two while it is renewed: it is never without any. */
  let current: string | undefined
  /** Older ones, and those that may have been put although nothing was heard of it. */
  const left = new Set<string>()
  let first: Promise<boolean> | undefined
  let rounds: Rounds | undefined
  let closed = false
  /** Told of in the log; again only after it worked. */
  let told = false

  function failed(error: unknown): void {
    const words = 'no lease on this engine: gateways on other machines cannot tell that this one lives'
    if (told) log.debug({ err: error }, words)
    else log.warn({ err: error }, words)
    told = true
  }

  async function renew(...until: AbortSignal[]): Promise<void> {
    const name = newLeaseName(instance)
    left.add(name)
    await marks.put(name, deadline(CALL_MS, ...until))
    if (current !== undefined) left.add(current)
    left.delete(name)
    current = name
    told = false
    if (closed) dropCurrent()
  }

  function dropCurrent(): void {
    if (current !== undefined) left.add(current)
    current = undefined
  }

  async function dropLeft(): Promise<void> {
    const dropped = [...left].map(async (name) => {
      await marks.drop(name, deadline(CALL_MS))
      left.delete(name)
    })
    for (const result of await Promise.allSettled(dropped)) {
      if (result.status === 'rejected') log.debug({ err: result.reason }, 'a mark of the lease stays for now')
    }
  }

  async function round(stopped: AbortSignal): Promise<void> {
    // Without one at the start, nobody counts on it.
    if (current !== undefined && wanted()) await renew(stopped)
    else dropCurrent()
    await dropLeft()
  }

  async function begin(): Promise<boolean> {
    rounds ??= every(renewMs, round, failed)
    try {
      await renew()
      return true
    } catch (error) {
      failed(error)
      return false
    }
  }

  return {
    held() {
      if (closed) return Promise.resolve(false)
      if (current !== undefined) return Promise.resolve(true)
      first ??= begin().finally(() => {
        first = undefined
      })
      return first
    },
    async close() {
      closed = true
      await rounds?.stop()
      await first
      dropCurrent()
      await dropLeft()
    },
  }
}
