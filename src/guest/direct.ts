/**
 * The direct data path: a unix socket of ours that a helper reaches through a holder's mount, so that bytes do not pass
 * the engine and its shim. One socket in a folder of its own for each helper: who sits in one container can see and
 * crowd no other's.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { chmod, mkdir, readdir, rm, stat } from 'node:fs/promises'
import net from 'node:net'
import { join } from 'node:path'
import { lending } from '../lent.ts'

const TOKEN = 16
/** Strangers without the token: so many at once, so long each; the oldest makes room for the next. */
const STRANGERS = 8
const STRANGER_MS = 2000
const STALE_MS = 120_000
const SOCKET = 's'

/** One connection: written as a stream, read by lent chunks. */
export interface DirectLine {
  readonly socket: net.Socket
  /** From now on, and what came with the token first. */
  listen(heard: (chunk: Buffer) => void): void
}

export interface Door {
  /** To mount; the socket is `file` in it. */
  readonly folder: string
  readonly file: string
  readonly token: Buffer
  /** The first connection that shows the token, not read beyond it. */
  incoming(signal: AbortSignal): Promise<DirectLine>
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
  let welcome: ((line: DirectLine) => void) | undefined

  function greet(accepted: net.Socket): void {
    let shown = Buffer.alloc(0)
    let hear: ((chunk: Buffer) => void) | undefined
    const socket = lending(accepted, (chunk) => {
      if (hear !== undefined) {
        hear(chunk)
        return true
      }
      // The token, what may have come with it, and no more: not read on until somebody listens.
      shown = Buffer.concat([shown, chunk])
      if (shown.length >= TOKEN) judge()
      return shown.length < TOKEN
    })
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

    function judge(): void {
      const open = welcome
      if (!timingSafeEqual(shown.subarray(0, TOKEN), token) || open === undefined) {
        socket.destroy()
        return
      }
      // One time.
      welcome = undefined
      leave()
      socket.off('close', leave)
      open({
        socket,
        listen(heard) {
          const early = shown.subarray(TOKEN)
          hear = heard
          if (early.length > 0) heard(early)
          socket.resume()
        },
      })
    }
    socket.resume()
  }

  const server = net.createServer({ pauseOnConnect: true }, greet)
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
