/** Removes records that are too old or too many; never one that is held, and never one that is written. */
import { rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { HOLD, MANIFEST } from './manifest.ts'
import { listRecords, type RecordEntry } from './records.ts'

export interface Retention {
  /** Milliseconds; 0: for ever. */
  readonly keepFor: number
  /** Bytes; 0: any number. */
  readonly keepSize: number
}

/** Returns the ids of those it removed. */
export async function removeOld(
  directory: string,
  { keepFor, keepSize }: Retention,
  log: Pick<Logger, 'info'>,
  now = Date.now(),
): Promise<string[]> {
  if (keepFor === 0 && keepSize === 0) return []
  const ended: RecordEntry[] = []
  let bytes = 0
  for await (const entry of listRecords(directory)) {
    bytes += entry.bytes
    if (entry.state !== 'live' && entry.state !== 'broken' && !entry.isHeld) ended.push(entry)
  }
  const removed: string[] = []
  for (const entry of ended) {
    const { id, folder } = entry
    const endedAt = entry.facts && 'endedAt' in entry.facts ? Date.parse(entry.facts.endedAt) : now
    const isOld = keepFor > 0 && now - endedAt > keepFor
    if (!isOld && !(keepSize > 0 && bytes > keepSize)) continue
    // Somebody may have held it since.
    if (await stat(join(folder, HOLD)).catch(() => undefined)) continue
    await rm(folder, { recursive: true, force: true })
    bytes -= entry.bytes
    removed.push(id)
    log.info(
      { record: id, bytes: entry.bytes },
      isOld ? 'a record is removed: it is too old' : 'a record is removed: there are too many',
    )
  }
  return removed
}

/** @throws errno */
export async function hold(folder: string, reason: string): Promise<void> {
  await stat(join(folder, MANIFEST)).catch(() => stat(folder))
  await writeFile(join(folder, HOLD), `${new Date().toISOString()} ${reason}\n`, { mode: 0o600 })
}

export async function release(folder: string): Promise<void> {
  await rm(join(folder, HOLD), { force: true })
}
