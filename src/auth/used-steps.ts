/**
 * A code is accepted once (RFC 6238 §5.2), also after a restart and by several gateways that share a directory: a login
 * claims the step by making a file of its name, which only one login can.
 */
import { mkdir, open, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { isErrno } from '../base/errors.ts'

export interface UsedSteps {
  /** Returns true for the first claim of a step later than all before. @throws if the claim cannot be written */
  claim(user: string, step: number): Promise<boolean>
}

export function createUsedSteps(directory: string): UsedSteps {
  return {
    async claim(user, step) {
      await mkdir(directory, { recursive: true, mode: 0o700 })
      const prefix = `${user}.`
      const before = (await readdir(directory))
        .filter((file) => file.startsWith(prefix) && /^\d+$/.test(file.slice(prefix.length)))
        .map((file) => Number(file.slice(prefix.length)))
      if (before.some((used) => used >= step)) return false
      try {
        await (await open(join(directory, `${prefix}${step}`), 'wx', 0o600)).close()
      } catch (error) {
        if (isErrno(error, 'EEXIST')) return false
        throw error
      }
      for (const used of before) await unlink(join(directory, `${prefix}${used}`)).catch(() => {})
      return true
    },
  }
}
