/**
 * Which gateway is this, and which others live? An installation has an id for good; each process of it has one more and
 * a socket of that name, which nobody can connect to any more once the process is gone, however it went.
 */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, open, readdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { isErrno } from './errors.ts'
import { socketAnswers } from './socket-answers.ts'
import { makeFile } from './whole-file.ts'

const ID = /^[0-9a-f]{32}$/
/** Beside each socket, where it is: on a network's file system a socket of another machine is there, and never answers. */
const WHERE = '.where'
/** It may be there and not listen yet. */
const YOUNG_MS = 60_000

export interface Instance {
  /** Of the installation: all gateways with this state folder on this machine. Those with a copy of it are another. */
  readonly gateway: string
  /** Of this process. */
  readonly id: string
  /**
   * Of the folder that has the sockets, since this machine was started: no copy of it has the same, and no other machine.
   * Empty where the machine does not tell when it was started.
   */
  readonly folder: string
  /**
   * Does the process of that id live? Only for those whose `folder` is the same; of one on another machine that shares it
   * nobody here knows, so it does.
   */
  lives(id: string): Promise<boolean>
  close(): Promise<void>
}

export async function openInstance(stateFolder: string): Promise<Instance> {
  const folder = join(stateFolder, 'instances')
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const gateway = await installation(join(stateFolder, 'gateway-id'))
  const id = randomBytes(16).toString('hex')
  // A socket's path may have 107 bytes, a state folder's any number: through the folder's descriptor it is short.
  const directory = await open(folder, 'r')
  const { dev, ino } = await directory.stat({ bigint: true })
  const boot = await bootId()
  const path = (of: string) => (process.platform === 'linux' ? `/proc/self/fd/${directory.fd}/${of}` : join(folder, of))
  const place = boot === '' ? '' : hashed([boot, String(dev), String(ino)])
  const server = createServer((socket) => socket.destroy())
  try {
    await writeFile(join(folder, id + WHERE), `${gateway} ${place || 'unknown'}\n`, { mode: 0o600 })
    server.listen(path(id))
    await once(server, 'listening')
  } catch (error) {
    await directory.close()
    throw error
  }
  server.unref()

  async function lives(other: string): Promise<boolean> {
    if (other === id) return true
    if (!ID.test(other)) return false
    const where = await readFile(join(folder, other + WHERE), 'utf8').catch(() => '')
    // None: of an older version.
    const [itsGateway = '', itsPlace] = where.trim().split(' ')
    const isHere = itsGateway === '' || itsPlace === (place || 'unknown')
    if (!isHere && itsGateway !== gateway) return true
    const answered = await socketAnswers(path(other))
    if (!answered && isHere) await remove(other)
    return answered
  }

  async function remove(other: string): Promise<void> {
    await rm(join(folder, other), { force: true })
    await rm(join(folder, other + WHERE), { force: true })
  }

  /** What killed processes left. */
  async function sweep(): Promise<void> {
    for (const name of await readdir(folder)) {
      const { mtimeMs } = await stat(join(folder, name))
      if (Date.now() - mtimeMs > YOUNG_MS) await lives(name.replace(WHERE, ''))
    }
  }
  const swept = sweep().catch(() => {})

  return {
    gateway,
    id,
    folder: place,
    lives,
    async close() {
      await swept
      await new Promise<void>((resolve) => server.close(() => resolve()))
      await rm(join(folder, id + WHERE), { force: true })
      await directory.close()
    },
  }
}

/**
 * Whether another process lives is only known of those in this very folder, so what a copy of the folder made (for one host
 * key on two machines, or from a backup) must not look like ours: its file has another inode, path or machine.
 */
async function installation(file: string): Promise<string> {
  const id = await installationId(file)
  const { ino } = await stat(file, { bigint: true })
  return hashed([id, await machine(), await realpath(file), String(ino)])
}

function hashed(parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 32)
}

/**
 * Random at each start of a machine, so it differs where disks and images were copied with their machine-id. Containers of one
 * machine share it; their folders tell them apart. A network namespace is nothing here: sockets with a path know none.
 */
async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim()
}

/** machine-id(5); in a container often none, and its host name is its own. */
async function machine(): Promise<string> {
  const id = await readFile('/etc/machine-id', 'utf8').catch(() => '')
  return /^[0-9a-f]{32}$/.test(id.trim()) ? id.trim() : hostname()
}

async function installationId(file: string): Promise<string> {
  const fresh = randomBytes(16).toString('hex')
  const known = await readFile(file, 'utf8').catch(() => undefined)
  if (known !== undefined) return known.trim()
  // Of two that start at once the first one's id is both's.
  await makeFile(file, `${fresh}\n`, 0o600).catch((error: unknown) => {
    if (!isErrno(error, 'EEXIST')) throw error
  })
  return (await readFile(file, 'utf8')).trim()
}
