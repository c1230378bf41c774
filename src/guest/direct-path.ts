/** Which helpers get the direct data path, and when: at the first bulk, once, in the background. */
import { join } from 'node:path'
import type { Container, Engine } from '../engine/engine.ts'
import { within } from '../limit.ts'
import type { GuestConnection } from './connection.ts'
import { type GuestBinary, HOLDER_MOUNT } from './deliver/binary.ts'
import { startHolder } from './deliver/holder.ts'
import { openDoor, sweepDoors } from './direct.ts'
import type { GuestLog, GuestSettings, GuestUser } from './pool.ts'

const LIMIT = 30_000
/** A helper that cannot switch under open sessions says EBUSY; it is asked again when it has none. */
const ATTEMPTS = 3

export interface DirectPath {
  /** Asked for, but the helper was busy. */
  waits(connection: GuestConnection): boolean
  /** Move a helper's frames to a socket of ours. Never throws; a failure is kept and not tried again. */
  take(connection: GuestConnection, container: Container, user: GuestUser, binary: GuestBinary): Promise<void>
  state(connection: GuestConnection): { readonly direct: boolean; readonly reason: string }
  sweep(): Promise<void>
}

export function createDirectPath(engine: Engine, settings: GuestSettings, log: GuestLog): DirectPath {
  const base = settings.stateFolder && join(settings.stateFolder, 'direct')
  const reasons = new WeakMap<GuestConnection, string>()
  const attempts = new WeakMap<GuestConnection, number>()
  const waits = (connection: GuestConnection) =>
    reasons.get(connection) === 'EBUSY' && (attempts.get(connection) ?? 0) < ATTEMPTS

  async function impossible(): Promise<string | undefined> {
    if (settings.direct === false) return 'switched off'
    if (base === undefined) return 'the gateway has no folder for its socket'
    if (engine.holders === undefined) return 'this engine cannot create the container that carries the socket'
    const { local } = await engine.info(AbortSignal.timeout(LIMIT))
    return local ? undefined : 'gateway and engine do not share a host'
  }

  async function attempt(
    connection: GuestConnection,
    container: Container,
    user: GuestUser,
    binary: GuestBinary,
  ): Promise<string | undefined> {
    const not = await impossible()
    if (not !== undefined || base === undefined) return not
    const signal = within(LIMIT, connection.ended)
    const door = await openDoor(base)
    try {
      const holder = await startHolder(engine, container.id, user, binary, door.folder, signal)
      try {
        return await connection.switchTo(`${holder.root}${HOLDER_MOUNT}/${door.file}`, door.token, door.incoming)
      } finally {
        void holder.close()
      }
    } finally {
      await door.close()
    }
  }

  return {
    waits,
    async take(connection, container, user, binary) {
      if ((reasons.has(connection) && !waits(connection)) || connection.ended.aborted) return
      reasons.set(connection, 'being tried')
      attempts.set(connection, (attempts.get(connection) ?? 0) + 1)
      const reason = await attempt(connection, container, user, binary).catch((error: unknown) =>
        error instanceof Error ? error.message : String(error),
      )
      reasons.set(connection, reason ?? 'gateway and engine share a host')
      const about = { container: container.name, user: user.exec }
      if (reason === undefined) log.info(about, 'guest helper switched to the direct data path')
      else log.info({ ...about, reason }, 'guest helper stays on the engine’s stream')
    },
    state(connection) {
      return { direct: connection.isDirect, reason: reasons.get(connection) ?? 'no session has moved much yet' }
    },
    sweep: () => (base === undefined ? Promise.resolve() : sweepDoors(base)),
  }
}
