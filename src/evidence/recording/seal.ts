/** Records that a killed gateway left get their last state: what is there is signed as incomplete. */
import { readdir, rm, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { isErrno } from '../../base/errors.ts'
import type { Instance } from '../../base/instance.ts'
import { removeDrafts } from '../../base/whole-file.ts'
import type { SigningKey } from '../audit/signing-key.ts'
import {
  type Manifest,
  type RecordStream,
  readManifest,
  readStarted,
  STARTED,
  STREAMS,
  writeManifest,
} from './manifest.ts'
import { recordIds } from './records.ts'
import { digest } from './verify.ts'

/** Its folder may be there and nothing in it yet. */
const YOUNG_MS = 60_000

export interface Sealing {
  readonly directory: string
  readonly instance: Pick<Instance, 'gateway' | 'id' | 'lives'>
  readonly key: SigningKey
  /** Does this very process write it? */
  readonly isOwn: (id: string) => boolean
  readonly log: Pick<Logger, 'warn' | 'error'>
}

/** Only those of this installation: whether the process of another one lives is not known here. Returns their manifests. */
export async function sealLost(
  sealing: Sealing,
  signal: AbortSignal,
): Promise<{ manifest: Manifest; bytes: Buffer }[]> {
  const sealed = []
  for (const id of await recordIds(sealing.directory)) {
    signal.throwIfAborted()
    try {
      const one = await sealOne(sealing, id)
      if (one) sealed.push(one)
    } catch (error) {
      sealing.log.error({ record: id, err: error }, 'a record that was left cannot be sealed')
    }
  }
  return sealed
}

async function sealOne({ directory, instance, key, isOwn, log }: Sealing, id: string) {
  const folder = join(directory, id)
  const names: string[] = await readdir(folder).catch(() => [])
  if (isOwn(id) || !names.includes(STARTED)) {
    if (names.length === 0) await removeIfOld(folder)
    return undefined
  }
  const started = await readStarted(folder)
  if (!started || started.gateway.id !== instance.gateway) return undefined
  if (started.gateway.process !== instance.id && (await instance.lives(started.gateway.process))) return undefined
  // Its writer may have finished meanwhile, or was killed between its last two steps.
  if (!(await readManifest(folder))) {
    const streams: RecordStream[] = []
    let endedAt = Date.parse(started.startedAt)
    for (const name of STREAMS) {
      const path = join(folder, name)
      const found = await stat(path).catch(() => undefined)
      if (!found) continue
      streams.push({ name: name as RecordStream['name'], ...(await digest(path)) })
      endedAt = Math.max(endedAt, found.mtimeMs)
    }
    const facts: Manifest = {
      ...started,
      state: 'incomplete',
      endedAt: new Date(endedAt).toISOString(),
      gaps: { count: 0, bytes: 0 },
      streams,
    }
    await removeDrafts(folder)
    const bytes = await writeManifest(folder, facts, key)
    await rm(join(folder, STARTED), { force: true })
    log.warn({ record: id }, 'a record that a killed gateway left is sealed as incomplete')
    return { manifest: facts, bytes }
  }
  await rm(join(folder, STARTED), { force: true })
  return undefined
}

async function removeIfOld(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => undefined)
  if (!found || Date.now() - found.mtimeMs < YOUNG_MS) return
  await rmdir(folder).catch((error: unknown) => {
    if (!isErrno(error, 'ENOTEMPTY', 'ENOENT')) throw error
  })
}
