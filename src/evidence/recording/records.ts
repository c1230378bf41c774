/** The records of a folder, for who looks for one. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isErrno, messageOf } from '../../base/errors.ts'
import {
  HOLD,
  isRecordId,
  type Manifest,
  readManifest,
  readStarted,
  STREAMS,
  type Started,
  sessionOf,
} from './manifest.ts'

export interface RecordEntry {
  readonly id: string
  readonly folder: string
  /** live: without a manifest; it may be that its gateway was killed. broken: with one that is none. */
  readonly state: Manifest['state'] | 'live' | 'broken'
  /** Absent: broken. */
  readonly facts?: Started | Manifest
  readonly problem?: string
  readonly isHeld: boolean
  /** Of its streams, as they are on the disk. */
  readonly bytes: number
}

/** Oldest first. @throws errno */
export async function recordIds(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return []
    throw error
  })
  return names.filter(isRecordId).sort()
}

/** Undefined: it is gone. */
export async function readRecord(directory: string, id: string): Promise<RecordEntry | undefined> {
  const folder = join(directory, id)
  const sizes = await Promise.all(STREAMS.map((name) => sizeOf(join(folder, name))))
  const isHeld = (await sizeOf(join(folder, HOLD))) !== undefined
  const common = { id, folder, isHeld, bytes: sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0) }
  try {
    const sealed = await readManifest(folder)
    if (sealed) return { ...common, state: sealed.manifest.state, facts: sealed.manifest }
    const facts = await readStarted(folder)
    // It may have been sealed in between.
    if (!facts) return (await readManifest(folder)) ? readRecord(directory, id) : undefined
    return { ...common, state: 'live', facts }
  } catch (error) {
    return { ...common, state: 'broken', problem: messageOf(error) }
  }
}

/** Oldest first. @throws errno */
export async function* listRecords(directory: string): AsyncGenerator<RecordEntry> {
  for (const id of await recordIds(directory)) {
    const entry = await readRecord(directory, id)
    if (entry) yield entry
  }
}

/** By its id, or by the session's; undefined: there is none. @throws errno */
export async function findRecord(directory: string, ref: string): Promise<RecordEntry | undefined> {
  if (isRecordId(ref)) return readRecord(directory, ref)
  const id = (await recordIds(directory)).findLast((id) => sessionOf(id) === ref)
  return id === undefined ? undefined : readRecord(directory, id)
}

async function sizeOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.size
}
