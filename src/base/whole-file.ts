/** A file that is there whole or not at all: written beside it and put in its place. A full disk leaves nothing behind. */
import { randomBytes } from 'node:crypto'
import { link, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

const DRAFT = /^\..+\.hatchway-[0-9a-f]{12}$/
/** An older draft is nobody's: who wrote it was killed. */
const STALE_MS = 60_000

/** Of two that make it at once one does. @throws EEXIST where it is there */
export function makeFile(file: string, content: Buffer | string, mode: number): Promise<void> {
  return drafted(file, content, mode, (draft) => link(draft, file))
}

/** @throws where it cannot be written: what was there stays */
export function replaceFile(file: string, content: Buffer | string, mode: number): Promise<void> {
  return drafted(file, content, mode, (draft) => rename(draft, file))
}

async function drafted(
  file: string,
  content: Buffer | string,
  mode: number,
  place: (draft: string) => Promise<void>,
): Promise<void> {
  const folder = dirname(file)
  await removeDrafts(folder)
  const draft = join(folder, `.${basename(file)}.hatchway-${randomBytes(6).toString('hex')}`)
  try {
    await writeFile(draft, content, { mode, flag: 'wx' })
    await place(draft)
  } finally {
    await rm(draft, { force: true })
  }
}

/** What killed ones were writing in this folder. */
export async function removeDrafts(folder: string): Promise<void> {
  const drafts = (await readdir(folder).catch(() => [])).filter((name) => DRAFT.test(name))
  for (const draft of drafts.map((name) => join(folder, name))) {
    const { mtimeMs } = await stat(draft).catch(() => ({ mtimeMs: Date.now() }))
    if (Date.now() - mtimeMs > STALE_MS) await rm(draft, { force: true }).catch(() => {})
  }
}
