/**
 * One trail, one writer. The lock is a unix socket beside the file, on which its holder listens: once that process is gone,
 * however it went, nobody can connect any more. It holds between containers that share the folder, and not between machines.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { link, open, rename, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { isErrno } from '../../base/errors.ts'
import { socketAnswers } from '../../base/socket-answers.ts'

/** Others may try at the same time, and each attempt is over soon. */
const ATTEMPTS = 5

/** Resolves with how to release it; undefined: another process has it. @throws errno of the file system */
export async function lockTrail(file: string): Promise<(() => Promise<void>) | undefined> {
  const folder = dirname(file)
  const name = `${basename(file)}.lock`
  const own = `.${name}-${randomBytes(6).toString('hex')}`
  // A socket's path may have 107 bytes: through the folder's descriptor it is short.
  const directory = await open(folder, 'r')
  const path = (of: string) => (process.platform === 'linux' ? `/proc/self/fd/${directory.fd}/${of}` : join(folder, of))
  const server = createServer((socket) => socket.destroy())
  server.on('error', () => undefined)
  const leave = async () => {
    await new Promise<void>((resolve) => server.close(() => resolve()))
    await rm(path(own), { force: true })
    await directory.close()
  }
  try {
    server.listen(path(own))
    await once(server, 'listening')
    server.unref()
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (await placed(path(own), path(name)))
        return async () => {
          await rm(path(name), { force: true })
          await leave()
        }
      if (!(await removedStale(path, name))) break
    }
    await leave()
    return undefined
  } catch (error) {
    await leave().catch(() => undefined)
    throw error
  }
}

async function placed(own: string, lock: string): Promise<boolean> {
  try {
    await link(own, lock)
    return true
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false
    throw error
  }
}

/** False: its holder lives. What was taken away is looked at again, as another may have taken the place of a stale one. */
async function removedStale(path: (name: string) => string, name: string): Promise<boolean> {
  if (await socketAnswers(path(name))) return false
  const aside = `.${name}-${randomBytes(6).toString('hex')}`
  try {
    await rename(path(name), path(aside))
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return true
    throw error
  }
  const lives = await socketAnswers(path(aside))
  if (lives) await placed(path(aside), path(name))
  await rm(path(aside), { force: true })
  return !lives
}
