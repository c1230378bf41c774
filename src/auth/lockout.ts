/**
 * Counts wrong codes of one user (RFC 4226 §7.3): six digits can be tried out, so after a few the user has to wait,
 * twice as long each time. Only the codes of a client that has the key or the password count.
 *
 * In files, as used-steps.ts: they count also after a restart, and together for all processes that share the directory. An
 * attempt makes the file of the next number, which only one can, before its code is compared: of many at once none is
 * free. The file with the highest number counts, from the time that it says.
 */
import { lstat, mkdir, open, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { isErrno } from '../base/errors.ts'

const FREE = 5
const FIRST_WAIT_MS = 30_000
const LONGEST_WAIT_MS = 900_000
const YOUNG_MS = 60_000

export interface Attempt {
  /** For how long the user has to wait if the code is wrong. */
  readonly waitMs: number
  /** Nothing is counted any more. */
  right(): Promise<void>
  /** As if this one had not been. */
  forget(): Promise<void>
}

export interface Lockout {
  /** Undefined while even the right code is refused. @throws if it cannot be counted */
  attempt(user: string): Promise<Attempt | undefined>
}

/** @param now milliseconds since the epoch */
export function createLockout(directory: string, now: () => number = Date.now): Lockout {
  const path = (user: string, count: number) => join(directory, `${user}.${count}`)
  /** Of a clock that was set back, too: nobody waits longer than the wait. */
  const age = async (user: string, count: number) => Math.abs(now() - (await lstat(path(user, count))).mtimeMs)

  /** The highest last. */
  async function counts(user: string): Promise<number[]> {
    const prefix = `${user}.`
    return (await readdir(directory))
      .filter((file) => file.startsWith(prefix) && /^\d+$/.test(file.slice(prefix.length)))
      .map((file) => Number(file.slice(prefix.length)))
      .sort((a, b) => a - b)
  }

  async function remove(user: string, which: readonly number[]): Promise<void> {
    for (const count of which) await unlink(path(user, count)).catch(() => {})
  }

  async function make(user: string, count: number): Promise<void> {
    const file = await open(path(user, count), 'wx', 0o600)
    try {
      await file.utimes(now() / 1000, now() / 1000)
    } finally {
      await file.close()
    }
  }

  /** The one before stays, in case this one is forgotten. A young one might be made again, by who looked before that. */
  async function tidy(user: string, before: readonly number[]): Promise<void> {
    for (const count of before.slice(0, -1))
      if ((await age(user, count).catch(() => 0)) > YOUNG_MS) await remove(user, [count])
  }

  return {
    async attempt(user) {
      await mkdir(directory, { recursive: true, mode: 0o700 })
      for (;;) {
        const before = await counts(user)
        const last = before.at(-1) ?? 0
        try {
          if (waitAfter(last) > 0 && (await age(user, last)) < waitAfter(last)) return undefined
          await make(user, last + 1)
        } catch (error) {
          // Counted, or found right, by another one in this moment.
          if (isErrno(error, 'EEXIST') || isErrno(error, 'ENOENT')) continue
          throw error
        }
        await tidy(user, before)
        return {
          waitMs: waitAfter(last + 1),
          right: async () => remove(user, await counts(user)),
          forget: () => remove(user, [last + 1]),
        }
      }
    },
  }
}

function waitAfter(count: number): number {
  return count < FREE ? 0 : Math.min(FIRST_WAIT_MS * 2 ** (count - FREE), LONGEST_WAIT_MS)
}
