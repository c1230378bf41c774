/** Which ways are tried, in which order, and what became of them. */
import { causeText, isFailure, messageOf } from '../../base/errors.ts'
import { deadline } from '../../lifetime/deadline.ts'
import type { GuestConnection } from '../connection.ts'
import { copyApi } from './copy.ts'
import { holderContainer } from './holder.ts'
import { endLeftRunning, LeftRunning } from './left-running.ts'
import { operatorMount } from './mount.ts'
import { byShell } from './shell.ts'
import type { Delivery, Way } from './way.ts'

/** Cheapest first: nothing, one exec, an exec and a copy call that costs as much, a container (docs/engines.md). */
const WAYS: readonly Way[] = [operatorMount, byShell, copyApi, holderContainer]

const METHOD_MS = 30_000

export interface Failed {
  readonly way: string
  readonly reason: string
}

export type Delivered =
  | { readonly connection: GuestConnection; readonly way: string; readonly failed: readonly Failed[] }
  | { readonly connection: undefined; readonly failed: readonly Failed[] }

export interface DeliverOptions {
  /** The way that worked for this run of the container before, maybe for another user: tried first. */
  readonly known: string | undefined
  readonly signal: AbortSignal
  /** A delivery whose waits end with this signal. */
  delivery(signal: AbortSignal): Delivery
}

/** Throws only when the container, the engine or the user is gone, or the signal aborts: then no way can work, nor another time tell. */
export async function deliver(options: DeliverOptions): Promise<Delivered> {
  const failed: Failed[] = []
  const marks: string[] = []
  const about = options.delivery(options.signal)
  const rank = (way: Way) => (way.unlikely?.(about) ? 2 : way.name === options.known ? 0 : 1)
  for (const way of WAYS.toSorted((a, b) => rank(a) - rank(b))) {
    const limit = deadline(METHOD_MS, options.signal)
    const delivery = options.delivery(limit)
    const hopeless = way.hopeless(delivery)
    if (hopeless !== undefined) {
      failed.push({ way: way.name, reason: hopeless })
      continue
    }
    try {
      const connection = await way.deliver(delivery)
      // Off the session's way.
      for (const mark of marks) void endLeftRunning(connection, mark)
      return { connection, way: way.name, failed }
    } catch (error) {
      options.signal.throwIfAborted()
      if (isFailure(error, ...BEYOND_WAYS)) throw error
      if (error instanceof LeftRunning) marks.push(error.mark)
      failed.push({ way: way.name, reason: reasonOf(error) })
    }
  }
  return { connection: undefined, failed }
}

const BEYOND_WAYS = [
  'CONTAINER_NOT_FOUND',
  'CONTAINER_NOT_RUNNING',
  'CONTAINER_GONE',
  'USER_CHANGED',
  'ENGINE_UNAVAILABLE',
  'ENGINE_LOST',
] as const

function reasonOf(error: unknown): string {
  const cause = causeText(error)
  return cause === '' ? messageOf(error) : `${messageOf(error)} (${cause})`
}
