/**
 * The direct data path: a unix socket of ours that a helper reaches through a holder's mount, so that bytes do not pass
 * the engine and its shim. One socket in a folder of its own for each helper: who sits in one container can see and
 * crowd no other's.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { chmod, mkdir, readdir, rm, stat } from 'node:fs/promises'
import net from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'

const TOKEN = 16
/** Strangers without the token: so many at once, so long each; the oldest makes room for the next. */
const STRANGERS = 8
const STRANGER_MS = 2000
const STALE_MS = 120_000
const SOCKET = 's'

export interface Door {
  /** To mount; the socket is `file` in it. */
  readonly folder: string
  readonly file: string
  readonly token: Buffer
  /** The first connection that shows the token, paused, not read beyond it. */
  incoming(signal: AbortSignal): Promise<Duplex>
  /** No further connection; the one that came in lives on. */
  close(): Promise<void>
}

/** `base` is a folder of ours that only we may enter: what is in it is open to every uid, as containers' uids are foreign. */
export async function openDoor(base: string): Promise<Door> {
  await mkdir(base, { recursive: true, mode: 0o700 })
  const folder = join(base, randomBytes(8).toString('hex'))
  await mkdir(folder, { mode: 0o711 })
  await chmod(folder, 0o711)
  const token = randomBytes(TOKEN)
  const strangers = new Set<net.Socket>()
  let welcome: ((socket: net.Socket) => void) | undefined

  function greet(socket: net.Socket): void {
    socket.on('error', () => {})
    if (strangers.size >= STRANGERS) {
      const [oldest] = strangers
      oldest?.destroy()
    }
    strangers.add(socket)
    const timer = setTimeout(() => socket.destroy(), STRANGER_MS)
    const leave = () => {
      clearTimeout(timer)
      strangers.delete(socket)
    }
    socket.once('close', leave)
    const onReadable = () => {
      const shown: unknown = socket.read(TOKEN)
      if (!Buffer.isBuffer(shown)) return
      socket.off('readable', onReadable)
      if (shown.length !== TOKEN || !timingSafeEqual(shown, token) || welcome === undefined) {
        socket.destroy()
        return
      }
      leave()
      socket.off('close', leave)
      const open = welcome
      // One time.
      welcome = undefined
      open(socket)
    }
    socket.on('readable', onReadable)
  }

  const server = net.createServer({ allowHalfOpen: false }, greet)
  server.on('error', () => {})
  const path = join(folder, SOCKET)
  const close = async () => {
    server.close()
    for (const stranger of strangers) stranger.destroy()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(path, () => resolve())
    })
    await chmod(path, 0o666)
  } catch (error) {
    await close()
    throw error
  }

  return {
    folder,
    file: SOCKET,
    token,
    incoming: (signal) =>
      new Promise((resolve, reject) => {
        signal.throwIfAborted()
        welcome = resolve
        signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      }),
    close,
  }
}

/** Folders of gateways that were killed. */
export async function sweepDoors(base: string): Promise<void> {
  const names = await readdir(base).catch(() => [])
  for (const name of names.filter((name) => /^[0-9a-f]{16}$/.test(name))) {
    const folder = join(base, name)
    const age = Date.now() - (await stat(folder).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs
    if (age > STALE_MS) await rm(folder, { recursive: true, force: true })
  }
}
