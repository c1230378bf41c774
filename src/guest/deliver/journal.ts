/** Files that we are putting into containers this moment, so that the next gateway removes what a killed one left. */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface Entry {
  readonly containerId: string
  readonly path: string
}

export interface Journal {
  /** Written before the file is put; `done` after it was removed. */
  note(entry: Entry): Promise<{ done(): Promise<void> }>
  /** What gateways that do not live any more noted and did not finish. */
  unfinished(): Promise<readonly (Entry & { done(): Promise<void> })[]>
}

const ENTRY = /^([0-9a-f]{64}) (\/\.hatchway-guest-[0-9a-f]{32})\n$/
const NAME = /^put-(?:(\d+)\.(\d+)-)?[0-9a-f]{32}$/

/** Without a folder nothing is noted. */
export function openJournal(folder: string | undefined): Journal {
  if (folder === undefined) return { note: async () => ({ done: async () => {} }), unfinished: async () => [] }
  const finish = (name: string) => ({ done: () => rm(join(folder, name), { force: true }) })
  return {
    async note({ containerId, path }) {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const name = `put-${process.pid}.${await beginning(process.pid)}-${randomBytes(16).toString('hex')}`
      await writeFile(join(folder, name), `${containerId} ${path}\n`, { mode: 0o600, flag: 'wx' })
      return finish(name)
    },
    async unfinished() {
      const names = await readdir(folder).catch(() => [])
      const found = await Promise.all(
        names
          .filter((name) => NAME.test(name))
          .map(async (name) => {
            if (await lives(NAME.exec(name))) return undefined
            const file = await readEntry(join(folder, name))
            return file && { ...file, ...finish(name) }
          }),
      )
      return found.filter((entry) => entry !== undefined)
    },
  }
}

async function lives(name: RegExpExecArray | null): Promise<boolean> {
  const [, pid, since] = name ?? []
  return Number(since) > 0 && (await beginning(Number(pid))) === Number(since)
}

/** When a process began, in ticks of the kernel's clock (proc(5), starttime); 0: there is none, or no /proc. */
async function beginning(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
  // The program's name before the last ")" may hold anything.
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? 0)
}

async function readEntry(file: string): Promise<Entry | undefined> {
  try {
    const [, containerId, path] = ENTRY.exec(await readFile(file, 'utf8')) ?? []
    return containerId !== undefined && path !== undefined ? { containerId, path } : undefined
  } catch {
    return undefined
  }
}
