/** All recordings of a gateway: begins them, hands them what happens besides, and looks after what is on the disk. */

import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import type { Logger } from 'pino'
import { type ContainerFacts, containerFacts } from '../../base/connection-facts.ts'
import { HatchwayError, messageOf } from '../../base/errors.ts'
import type { Instance } from '../../base/instance.ts'
import type { Config } from '../../config/schema.ts'
import { withDeadline } from '../../lifetime/deadline.ts'
import { every } from '../../lifetime/every.ts'
import { unlessAborted } from '../../lifetime/on-abort.ts'
import { createSemaphore } from '../../lifetime/semaphore.ts'
import type { EmitEvent, EventReader, GatewayName, RecordedEvent } from '../../observe/events.ts'
import { type BeginRecording, unrecordable } from '../../session/recording.ts'
import { openSigningKey } from '../audit/signing-key.ts'
import { eventLine } from './event-line.ts'
import { sessionOf } from './manifest.ts'
import type { QueueAccount } from './queue.ts'
import { beginRecording, type Recording, type Sealed } from './recording.ts'
import { removeOld } from './retention.ts'
import { sealLost } from './seal.ts'

/** A disk that hangs. */
const BEGIN_MS = 10_000
/** Of sessions that end with the gateway. */
const CLOSE_MS = 5_000
const LOOK_AFTER_MS = 60_000
/** The others of node's four threads are for files and for logins. */
const COMPRESSING_AT_ONCE = 2

export interface Recorder {
  readonly begin: BeginRecording
  readonly read: EventReader
  /** Does anything want to know what a session does to files? */
  wantsFiles(session: string): boolean
  /** Sessions that are recorded now, and bytes that wait. */
  lag(): { readonly live: number; readonly waitingBytes: number }
  close(): Promise<void>
}

export type RecorderSettings = Config['recording'] & { readonly directory: string }

interface Live {
  readonly recording: Recording
  readonly connection: string
  readonly of: readonly string[]
}

/** @throws HatchwayError CONFIG_INVALID */
export async function openRecorder(
  settings: RecorderSettings,
  keysDirectory: string,
  instance: Instance,
  gateway: GatewayName,
  emit: EmitEvent,
  log: Logger,
): Promise<Recorder> {
  const { directory } = settings
  const key = await openSigningKey(keysDirectory)
  await mkdir(directory, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    const message = `recording.directory ${directory} cannot be made: ${messageOf(error)}`
    throw new HatchwayError('CONFIG_INVALID', message, { cause: error })
  })
  const { id, process, host } = gateway
  const live = new Map<string, Live>()
  /** Sessions whose record is being made: its folder may be there already. */
  const beginning = new Set<string>()
  const accounts = new Map<string, QueueAccount & { recordings: number }>()
  const compressing = createSemaphore({ atOnce: COMPRESSING_AT_ONCE })
  const forEver = new AbortController()
  const closing = new AbortController()

  async function turn<T>(work: () => Promise<T>): Promise<T> {
    const leave = await compressing.enter(forEver.signal)
    return work().finally(leave)
  }

  function enter(identity: string) {
    const account = accounts.get(identity) ?? { bytes: 0, recordings: 0 }
    accounts.set(identity, account)
    account.recordings++
    const leave = () => {
      if (--account.recordings === 0) accounts.delete(identity)
    }
    return { account, leave }
  }

  const begin: BeginRecording = async (start, signal) => {
    const { terms, session, whose } = start
    const { account, leave } = enter(whose.identity.name)
    beginning.add(session.id)
    try {
      const dependencies = { directory, gateway: { id, process, host }, key, account, log, turn }
      const recording = await withDeadline(BEGIN_MS, [signal], (limit) =>
        unlessAborted(beginRecording(start, dependencies, limit), limit),
      )
      live.set(session.id, { recording, connection: session.connectionId, of: terms.of })
      void recording.sealed.then((sealed) => {
        if (sealed) emit(recordedEvent(sealed))
        live.delete(session.id)
        leave()
      })
      return recording
    } catch (error) {
      leave()
      signal.throwIfAborted()
      if (terms.mode === 'required') throw unrecordable(error)
      log.error({ session: session.id, identity: whose.identity.name, err: error }, 'a session goes unrecorded')
      return undefined
    } finally {
      beginning.delete(session.id)
    }
  }

  async function lookAfter(signal: AbortSignal): Promise<void> {
    const isOwn = (record: string) => live.has(sessionOf(record)) || beginning.has(sessionOf(record))
    for (const sealed of await sealLost({ directory, instance, key, isOwn, log }, signal)) emit(recordedEvent(sealed))
    await removeOld(directory, settings, log)
  }
  const failed = (error: unknown) => log.error({ err: error }, 'recordings could not be looked after')
  const first = lookAfter(closing.signal).catch((error: unknown) => {
    if (!closing.signal.aborted) failed(error)
  })
  const rounds = every(LOOK_AFTER_MS, lookAfter, failed)
  log.info({ directory, key: key.fingerprint }, 'sessions can be recorded')

  return {
    begin,
    read(event) {
      const line = eventLine(event)
      if (!line) return
      for (const [session, { recording, connection, of }] of live) {
        const isIts = line.session === undefined ? line.connection === connection : line.session === session
        if (isIts && of.includes(line.part)) recording.event(line.text)
      }
    },
    wantsFiles: (session) => live.get(session)?.of.includes('files') ?? false,
    lag: () => ({
      live: live.size,
      waitingBytes: [...live.values()].reduce((sum, { recording }) => sum + recording.waitingBytes, 0),
    }),
    async close() {
      closing.abort()
      await first
      await rounds.stop()
      const all = [...live.values()].map(({ recording }) => recording)
      const sealed = Promise.all(all.map((one) => one.sealed))
      await withDeadline(CLOSE_MS, [], (signal) => unlessAborted(sealed, signal)).catch(() => undefined)
      for (const one of all) one.abandon(new Error('the gateway ends'))
    },
  }
}

function recordedEvent({ manifest, bytes }: Sealed): RecordedEvent {
  const { connection: connectionId, remote, identity, login, host, container, user, session, id, state } = manifest
  const { name, fingerprint, method, source, certificate } = identity
  return {
    type: 'recorded',
    whose: {
      connectionId,
      remote,
      login,
      identity: {
        ...{ name, fingerprint },
        ...(method !== undefined && { method }),
        ...(source !== undefined && { source }),
        ...(certificate && { certificate }),
      },
      ...(host !== undefined && { host }),
    },
    container: containerFacts(container as ContainerFacts),
    ...{ user, session, state },
    record: id,
    sha256: createHash('sha256').update(bytes).digest('hex'),
  }
}
