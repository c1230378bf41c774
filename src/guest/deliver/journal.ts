/** Files that we are putting into containers this moment, so that the next gateway removes what a killed one left. */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Instance } from '../../base/instance.ts'
import { makeFile, removeDrafts } from '../../base/whole-file.ts'

export interface JournalEntry {
  readonly containerId: string
  readonly path: string
}

export interface Journal {
  /** Written before the file is put; `done` after it was removed. */
  note(entry: JournalEntry): Promise<{ done(): Promise<void> }>
  /** What gateways that do not live any more noted and did not finish. */
  unfinished(): Promise<readonly (JournalEntry & { done(): Promise<void> })[]>
}

const ENTRY = /^(\S+) (\/\.hatchway-guest-[0-9a-f]{32})\n$/
/** The installation that the entry belongs to, and a number. */
const NAME = /^put-(?:([0-9a-f]{32})-)?[0-9a-f]{32}$/

/**
 * Without a folder nothing is noted.
 * @param instance of this process; without it whoever opens the journal next takes what is noted for a dead one's
 */
export function openJournal(folder: string | undefined, instance: Pick<Instance, 'id' | 'lives'> | undefined): Journal {
  if (folder === undefined) return { note: async () => ({ done: async () => {} }), unfinished: async () => [] }
  const finish = (name: string) => ({ done: () => rm(join(folder, name), { force: true }) })
  return {
    async note({ containerId, path }) {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const name = `put-${instance ? `${instance.id}-` : ''}${randomBytes(16).toString('hex')}`
      await makeFile(join(folder, name), `${containerId} ${path}\n`, 0o600)
      return finish(name)
    },
    async unfinished() {
      await removeDrafts(folder)
      const names = await readdir(folder).catch(() => [])
      const found = await Promise.all(
        names.map(async (name) => {
          const [noted, owner] = NAME.exec(name) ?? []
          if (noted === undefined || (owner && (await instance?.lives(owner)))) return undefined
          const file = await readEntry(join(folder, name))
          return file && { ...file, ...finish(name) }
        }),
      )
      return found.filter((entry) => entry !== undefined)
    },
  }
}

async function readEntry(file: string): Promise<JournalEntry | undefined> {
  try {
    const [, containerId, path] = ENTRY.exec(await readFile(file, 'utf8')) ?? []
    return containerId !== undefined && path !== undefined ? { containerId, path } : undefined
  } catch {
    return undefined
  }
}
