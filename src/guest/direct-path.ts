/** Which helpers get the direct data path, and how: once, in the background, when the pool finds them worth it. */

import { join } from 'node:path'
import { placeFields } from '../base/connection-facts.ts'
import { messageOf } from '../base/errors.ts'
import { type Container, type Engine, engineOf } from '../engine/engine.ts'
import { BoundedMap } from '../lifetime/bounded-map.ts'
import { deadline } from '../lifetime/deadline.ts'
import type { GuestConnection } from './connection.ts'
import { type GuestBinary, HOLDER_MOUNT } from './deliver/binary.ts'
import { startHolder } from './deliver/holder.ts'
import { openDoor, sweepDoors } from './direct.ts'
import type { GuestLog } from './log.ts'
import type { GuestSettings } from './settings.ts'
import { type GuestUser, whom } from './user.ts'

const INFO_MS = 30_000
/**
 * The helper connects within milliseconds of SWITCH; a holder is something to play with for any process of the same user
 * inside.
 */
const HOLD_MS = 2000
const REMEMBERED = 1000

export interface DirectPath {
  /**
   * Move a helper's frames to a socket of ours, which its SFTP then has as well. Never throws; a failure is kept and not
   * tried again.
   */
  take(connection: GuestConnection, container: Container, user: GuestUser, binary: GuestBinary): Promise<void>
  state(connection: GuestConnection): { readonly direct: boolean; readonly reason: string }
  sweep(): Promise<void>
}

export function createDirectPath(engine: Engine, settings: GuestSettings, log: GuestLog): DirectPath {
  const base = settings.stateFolder && join(settings.stateFolder, 'direct')
  const reasons = new WeakMap<GuestConnection, string>()
  /** Container runs where it failed, and why: what forbids it (SELinux, a folder not shared) does not come and go. */
  const failures = new BoundedMap<string, string>(REMEMBERED)

  async function impossible({ id }: Container): Promise<string | undefined> {
    if (settings.direct === false) return 'switched off'
    if (base === undefined) return 'the gateway has no folder for its socket'
    const own = engineOf(engine, id)
    if (own.holders === undefined) return 'this engine cannot create the container that carries the socket'
    const { local } = await own.info(deadline(INFO_MS))
    return local ? undefined : 'gateway and engine do not share a host'
  }

  async function attempt(
    connection: GuestConnection,
    container: Container,
    user: GuestUser,
    binary: GuestBinary,
  ): Promise<string | undefined> {
    const not = await impossible(container)
    if (not !== undefined || base === undefined) return not
    const signal = deadline(INFO_MS, connection.ended)
    const door = await openDoor(base)
    try {
      const holder = await startHolder(
        engine,
        container,
        user,
        binary,
        { holdMs: HOLD_MS, folder: door.folder },
        signal,
      )
      try {
        return await connection.switchTo(`${holder.root}${HOLDER_MOUNT}/${door.file}`, door)
      } finally {
        void holder.close()
      }
    } finally {
      // The helper keeps the socket's file open: it needs no name any more.
      if (connection.isDirect && !connection.ended.aborted) await door.hide()
      else await door.close()
    }
  }

  return {
    async take(connection, container, user, binary) {
      if (reasons.has(connection) || connection.ended.aborted) return
      reasons.set(connection, 'being tried')
      const run = `${container.id} ${container.startedAt}`
      const reason =
        failures.get(run) ??
        (await attempt(connection, container, user, binary).catch((error: unknown) => messageOf(error)))
      reasons.set(connection, reason ?? 'gateway and engine share a host')
      const about = { ...placeFields(container), user: whom(user) }
      if (reason === undefined) return log.info(about, 'guest helper switched to the direct data path')
      log.info({ ...about, reason }, 'guest helper stays on the engine’s stream')
      if (connection.ended.aborted) return
      failures.set(run, reason)
    },
    state(connection) {
      return { direct: connection.isDirect, reason: reasons.get(connection) ?? 'not in use for long yet' }
    },
    sweep: () => (base === undefined ? Promise.resolve() : sweepDoors(base)),
  }
}
