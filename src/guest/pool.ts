/** One live helper per (container's run, user): delivered at the first need, shared, ended when idle. */

import { join } from 'node:path'
import { placeFields } from '../base/connection-facts.ts'
import { HatchwayError } from '../base/errors.ts'
import { type Container, type Engine, engineOf, enginesOf } from '../engine/engine.ts'
import { engineLimit } from '../engine/messages.ts'
import { BoundedMap } from '../lifetime/bounded-map.ts'
import { withDeadline } from '../lifetime/deadline.ts'
import { onAbort, unlessAborted } from '../lifetime/on-abort.ts'
import type { GuestConnection } from './connection.ts'
import { type GuestBinary, HOLDER_REPOSITORY, loadBinary } from './deliver/binary.ts'
import { deliver, type Failed } from './deliver/deliver.ts'
import { openJournal } from './deliver/journal.ts'
import { sweep } from './deliver/sweep.ts'
import { createDirectPath } from './direct-path.ts'
import type { Guest } from './guest.ts'
import type { GuestLog } from './log.ts'
import { createServe } from './serve.ts'
import type { GuestSettings } from './settings.ts'
import { type GuestUser, whom } from './user.ts'

/** For `hatchway doctor`. */
export interface GuestReport {
  /** The way the helper got (or would get) in; undefined: the plain road. */
  readonly way: string | undefined
  /** Ways tried before it, and why they failed. */
  readonly failed: readonly Failed[]
  /** "direct" with the reason why it is possible, or "exec stream" and why not. */
  readonly dataPath: { readonly direct: boolean; readonly reason: string }
}

export interface GuestPool {
  /**
   * The live helper for this user of this run of the container, delivered if need be (concurrent callers share one
   * delivery). Undefined: none can be had, take the plain road; with mode require: throws GUEST_FAILED.
   */
  acquire(container: Container, user: GuestUser, signal: AbortSignal): Promise<Guest | undefined>
  explain(container: Container, user: GuestUser, signal: AbortSignal): Promise<GuestReport>
  /** Helpers that live, and those on their way in. */
  count(): { readonly live: number; readonly arriving: number }
  /** Ends every helper (their sessions are hung up) and removes what is outside; idempotent. */
  close(): Promise<void>
}

const IDLE_MS = 60_000
/** What is still used so long after it came is no one-off command, and worth the holder that the direct path costs. */
const DIRECT_AFTER_MS = 1000
const DELIVERY_MS = 90_000
/** A container where no way worked is not tried again for so long. */
const RETRY_MS = 60_000
const REMEMBERED = 1000
const FORGET_MS = 5000

interface Live {
  readonly connection: GuestConnection
  readonly way: string
  readonly failed: readonly Failed[]
  idle: NodeJS.Timeout | undefined
}

interface Impossible {
  readonly failed: readonly Failed[]
  readonly until: number
}

export function createGuestPool(engine: Engine, settings: GuestSettings, log: GuestLog): GuestPool {
  const live = new Map<string, Live>()
  const arriving = new Map<string, Promise<Live | Impossible>>()
  const impossible = new BoundedMap<string, Impossible>(REMEMBERED)
  const winners = new BoundedMap<string, string>(REMEMBERED)
  const closed = new AbortController()
  const journal = openJournal(settings.stateFolder && join(settings.stateFolder, 'guest'), settings.instance)
  const serve = createServe(engine, settings, log)
  const direct = createDirectPath(engine, settings, log)
  const swept =
    settings.mode === 'off'
      ? Promise.resolve()
      : Promise.all([sweep(engine, serve, journal, log, closed.signal), direct.sweep()])

  async function binaryFor({ id, arch }: Container, signal: AbortSignal): Promise<GuestBinary | undefined> {
    return loadBinary(arch ?? (await engineOf(engine, id).info(signal)).arch)
  }

  async function arrive(
    key: string,
    container: Container,
    user: GuestUser,
    signal: AbortSignal,
  ): Promise<Live | Impossible> {
    const about = { ...placeFields(container), user: whom(user) }
    const binary = await binaryFor(container, signal)
    if (binary === undefined) return refuse(key, [{ way: 'all', reason: 'no helper was built for its processor' }])
    const run = `${container.id} ${container.startedAt}`
    const began = performance.now()
    const result = await deliver({
      known: winners.get(run),
      signal,
      delivery: (limit) => ({
        engine,
        container,
        user,
        binary,
        mountedAt: settings.mountedAt,
        journal,
        serve: (argv, stdin) => serve(container, user, argv, limit, stdin),
        serveAs: serve,
        signal: limit,
      }),
    })
    settings.delivered?.(result.connection ? result.way : 'none', performance.now() - began)
    if (result.connection === undefined) {
      log.warn({ ...about, failed: result.failed }, 'no way for the guest helper into this container')
      return refuse(key, result.failed)
    }
    winners.set(run, result.way)
    log.info({ ...about, way: result.way, failed: result.failed }, 'guest helper delivered')
    return adopt(key, container, user, binary, { ...result, idle: undefined })
  }

  function refuse(key: string, failed: readonly Failed[]): Impossible {
    const found = { failed, until: Date.now() + RETRY_MS }
    impossible.set(key, found)
    return found
  }

  function adopt(key: string, container: Container, user: GuestUser, binary: GuestBinary, helper: Live): Live {
    const { connection } = helper
    if (closed.signal.aborted) connection.close()
    live.set(key, helper)
    const goDirect = () => void direct.take(connection, container, user, binary)
    const proven = setTimeout(() => {
      connection.onUse = goDirect
      if (connection.channels > 0) goDirect()
    }, settings.directAfterMs ?? DIRECT_AFTER_MS)
    proven.unref()
    const forget = () => {
      clearTimeout(helper.idle)
      clearTimeout(proven)
      if (live.get(key) === helper) live.delete(key)
    }
    onAbort(connection.ended, forget)
    connection.onBulk = goDirect
    connection.onIdle = () => rest(key, helper)
    rest(key, helper)
    return helper
  }

  /** Sent away when nobody used it for a while; every acquire and every last channel begin the while anew. */
  function rest(key: string, helper: Live): void {
    helper.idle ??= setTimeout(() => {
      if (helper.connection.channels > 0) return
      if (live.get(key) === helper) live.delete(key)
      helper.connection.shutdown()
    }, settings.idleMs ?? IDLE_MS).unref()
    helper.idle.refresh()
  }

  async function have(container: Container, user: GuestUser, signal: AbortSignal): Promise<Live | Impossible> {
    closed.signal.throwIfAborted()
    const key = `${container.id} ${container.startedAt} ${user.uid} ${user.gid} ${user.exec} ${user.become ?? ''}`
    const here = live.get(key)
    if (here !== undefined && !here.connection.ending) {
      rest(key, here)
      return here
    }
    const not = impossible.get(key)
    if (not !== undefined && not.until > Date.now()) return not
    let coming = arriving.get(key)
    if (coming === undefined) {
      // Not the caller's signal: others may wait for the same helper.
      const limit = engineLimit('bringing the guest helper in', DELIVERY_MS)
      coming = withDeadline(limit, [closed.signal], (signal) => arrive(key, container, user, signal)).finally(() =>
        arriving.delete(key),
      )
      arriving.set(key, coming)
      coming.catch(() => {})
    }
    return unlessAborted(coming, signal)
  }

  return {
    async acquire(container, user, signal) {
      if (settings.mode === 'off') return undefined
      const found = await have(container, user, signal)
      if ('connection' in found) return found.connection
      if (settings.mode === 'auto') return undefined
      throw new HatchwayError('GUEST_FAILED', `the guest helper cannot run in container ${container.name}`, {
        cause: new Error(found.failed.map(({ way, reason }) => `${way}: ${reason}`).join('; ')),
      })
    },

    async explain(container, user, signal) {
      if (settings.mode === 'off') {
        const reason = 'guest: off'
        return { way: undefined, failed: [{ way: 'all', reason }], dataPath: { direct: false, reason } }
      }
      const found = await have(container, user, signal)
      if (!('connection' in found)) {
        return { way: undefined, failed: found.failed, dataPath: { direct: false, reason: 'no guest helper' } }
      }
      const binary = await binaryFor(container, signal)
      if (binary !== undefined) await direct.take(found.connection, container, user, binary)
      return { way: found.way, failed: found.failed, dataPath: direct.state(found.connection) }
    },

    count: () => ({ live: live.size, arriving: arriving.size }),

    async close() {
      if (closed.signal.aborted) return
      closed.abort(new HatchwayError('GUEST_FAILED', 'the gateway is shutting down'))
      for (const { connection, idle } of live.values()) {
        clearTimeout(idle)
        connection.close()
      }
      await Promise.allSettled([...arriving.values(), swept])
      const forget = ({ holders }: Engine) =>
        withDeadline(FORGET_MS, [], async (limit) => holders?.forget(HOLDER_REPOSITORY, limit))
      await Promise.allSettled(enginesOf(engine).map(forget))
    },
  }
}
