/**
 * The named pipes of execs. containerd's shim opens them by name, so they are in a folder of this host that only the gateway's
 * user may enter; once the program runs they need no name any more. Opened without waiting, before the shim does: an open that
 * waits for the other side would hold one of libuv's few threads for as long.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, constants, openSync } from 'node:fs'
import { lstat, mkdir, mkdtemp, readdir, rm, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { HatchwayError, messageOf } from '../../base/errors.ts'
import { createSemaphore } from '../../lifetime/semaphore.ts'

/** node cannot make a named pipe: mkfifo does, many at once, so that most execs wait for no process. */
const MADE_AT_ONCE = 8
const MKFIFO_MS = 10_000
const PREFIX = 'containerd-'
/** A file with this end says by its name what a program is called for which pipes were taken. */
const NOTE = '.run'

export interface FifoSet {
  readonly stdin: { readonly path: string; readonly fd: number }
  readonly stdout: { readonly path: string; readonly fd: number }
  readonly stderr: { readonly path: string; readonly fd: number } | undefined
  /** The descriptors now belong to whoever reads and writes them; `close` leaves them alone. */
  handOver(): void
  /** They lose their names. Idempotent, never fails. */
  unlink(): Promise<void>
  /** The program is over: also its note goes, and the descriptors that nobody has taken. Idempotent, never fails. */
  close(): Promise<void>
}

export interface FifoOptions {
  readonly base: string
  /** Whose programs these are: a gateway of another containerd leaves them alone. */
  readonly scope: string
  /** Of a program that a killed gateway has left. */
  abandoned(label: string): void
}

export interface FifoFolder {
  /** @param label names the program, as a file may be called. @throws HatchwayError ENGINE_ERROR */
  take(label: string, tty: boolean, signal: AbortSignal): Promise<FifoSet>
  /** The folder goes, with all that is in it. Idempotent. */
  close(): Promise<void>
}

/** Where the shim, which is another program of root's, finds what is made there: not a /tmp of the service's own. */
export function fifoBase(env: NodeJS.ProcessEnv): string {
  const { RUNTIME_DIRECTORY: own, XDG_RUNTIME_DIR: runtime } = env
  if (own) return own.split(':')[0] ?? own
  if (process.getuid?.() === 0) return '/run/hatchway'
  return runtime ? join(runtime, 'hatchway') : join(tmpdir(), `hatchway-${process.getuid?.()}`)
}

export function createFifoFolder({ base, scope, abandoned }: FifoOptions): FifoFolder {
  const ours = createHash('sha256').update(scope).digest('hex').slice(0, 12)
  const making = createSemaphore({ atOnce: 1 })
  const spare: string[] = []
  let folder: Promise<string> | undefined
  let made = 0
  let closed = false

  async function makeFolder(): Promise<string> {
    await mkdir(base, { recursive: true, mode: 0o700 })
    // In /tmp another user may have made it first, and would choose what the shim opens as root.
    const stats = await lstat(base)
    const isOurs = stats.isDirectory() && stats.uid === process.getuid?.() && (stats.mode & 0o022) === 0
    if (!isOurs) throw new Error('it is not a directory of ours, or others may write there')
    for (const label of await sweep(base, ours)) abandoned(label)
    return mkdtemp(join(base, `${PREFIX}${process.pid}-${ours}-`))
  }

  /** Somebody has cleaned up there: the next one makes it anew. */
  function forget(): void {
    spare.length = 0
    folder = undefined
  }

  async function more(signal: AbortSignal): Promise<void> {
    const leave = await making.enter(signal)
    try {
      if (spare.length > 0) return
      folder ??= makeFolder()
      const where = await folder
      const names = Array.from({ length: MADE_AT_ONCE }, () => join(where, String(made++)))
      const paths = names.flatMap((name) => [`${name}.in`, `${name}.out`, `${name}.err`])
      await promisify(execFile)('mkfifo', ['-m', '600', ...paths], { timeout: MKFIFO_MS })
      spare.push(...names)
    } catch (cause) {
      forget()
      const why = messageOf(cause).split('\n', 1)[0]
      throw new HatchwayError('ENGINE_ERROR', 'the gateway cannot make the pipes of a program', {
        cause: new Error(`in ${base}: ${why}`, { cause }),
      })
    } finally {
      leave()
    }
  }

  return {
    async take(label, tty, signal) {
      while (spare.length === 0) await more(signal)
      const name = spare.pop() ?? ''
      try {
        return await openSet(name, join(dirname(name), `${label}${NOTE}`), tty)
      } catch (error) {
        forget()
        throw error
      }
    },
    async close() {
      if (closed) return
      closed = true
      const where = await folder?.catch(() => undefined)
      if (where !== undefined) await rm(where, { recursive: true, force: true })
    },
  }
}

async function openSet(name: string, note: string, tty: boolean): Promise<FifoSet> {
  const fds: number[] = []
  const paths = [`${name}.in`, `${name}.out`, `${name}.err`]
  let owned = true
  let named = true
  const open = (suffix: string, flags: number) => {
    const path = `${name}.${suffix}`
    const fd = openSync(path, flags | constants.O_NONBLOCK)
    fds.push(fd)
    return { path, fd }
  }
  const set = {
    handOver() {
      owned = false
    },
    async unlink() {
      if (!named) return
      named = false
      await Promise.all(paths.map((path) => unlink(path).catch(() => {})))
    },
    async close() {
      if (owned) for (const fd of fds) closeSync(fd)
      owned = false
      await set.unlink()
      await unlink(note).catch(() => {})
    },
  }
  try {
    closeSync(openSync(note, 'w', 0o600))
    return {
      ...set,
      // For writing alone it could not be opened before somebody reads.
      stdin: open('in', constants.O_RDWR),
      stdout: open('out', constants.O_RDONLY),
      stderr: tty ? undefined : open('err', constants.O_RDONLY),
    }
  } catch (error) {
    await set.close()
    throw new HatchwayError('ENGINE_ERROR', 'the gateway cannot open the pipes of a program', { cause: error })
  }
}

/** What killed gateways of this user have left goes. Returns what their programs are called. */
async function sweep(base: string, ours: string): Promise<string[]> {
  const labels: string[] = []
  for (const name of await readdir(base)) {
    const [, pid, scope] = /^containerd-(\d+)-([0-9a-f]{12})-/.exec(name) ?? []
    if (pid === undefined || scope !== ours || Number(pid) === process.pid || isAlive(Number(pid))) continue
    const folder = join(base, name)
    const files = await readdir(folder).catch(() => [])
    labels.push(...files.filter((file) => file.endsWith(NOTE)).map((file) => file.slice(0, -NOTE.length)))
    await rm(folder, { recursive: true, force: true })
  }
  return labels
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
