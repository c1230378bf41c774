/**
 * The direct data path: a unix socket of ours that a helper reaches through a holder's mount, so that bytes do not pass
 * the engine and its shim. One socket in a folder of its own for each helper: a process in one container can
 * neither see nor crowd another's.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { chmod, mkdir, readdir, rm, stat } from 'node:fs/promises'
import net from 'node:net'
import { join } from 'node:path'
import { lending } from '../bytes/shared-read-buffer.ts'
import { Opening } from './channel.ts'

const TOKEN_BYTES = 16
/** Strangers without the token: so many at once, so long each; the oldest makes room for the next. */
const STRANGERS = 8
const STRANGER_MS = 2000
/** After so many in all the door is closed: what a container may cost us by knocking ends there. */
const STRANGERS_EVER = 1000
const STALE_MS = 120_000
const SOCKET = 's'

/** One connection: written as a stream, read by lent chunks. */
export interface DirectLine {
  readonly socket: net.Socket
  /** `heard` gets what came with the token, then all that follows. False: no more until `socket.resume()`. */
  listen(heard: (chunk: Buffer) => boolean): void
}

/** One connection that is to come, one time. */
export interface Expected {
  /** What the connection shows first. */
  readonly token: Buffer
  /** The line is not read beyond the token. */
  readonly line: Promise<DirectLine>
  /** The connection is not wanted any more, also if it has come. */
  withdraw(): void
}

export interface Door {
  /** The folder to mount; the socket is `file` in it. */
  readonly folder: string
  readonly file: string
  /** Undefined: the door is closed. */
  expect(): Expected | undefined
  /** Nobody finds the socket any more; a process that holds its file open still comes in. */
  hide(): Promise<void>
  /** No further connection; those that came in live on. */
  close(): Promise<void>
}

interface Awaited {
  readonly token: Buffer
  readonly line: Opening<DirectLine>
}

/**
 * `base` is a folder of ours that only we may enter: what is in it is open to every uid, as containers' uids are foreign.
 */
export async function openDoor(base: string): Promise<Door> {
  await mkdir(base, { recursive: true, mode: 0o700 })
  const folder = join(base, randomBytes(8).toString('hex'))
  await mkdir(folder, { mode: 0o711 })
  await chmod(folder, 0o711)
  const awaited = new Set<Awaited>()
  const strangers = new Set<net.Socket>()
  let patience = STRANGERS_EVER
  let isOpen = true

  function greet(accepted: net.Socket): void {
    let shown = Buffer.alloc(0)
    let hear: ((chunk: Buffer) => boolean) | undefined
    const socket = lending(accepted, (chunk) => {
      if (hear !== undefined) return hear(chunk)
      // The token, what may have come with it, and no more: not read on until somebody listens.
      shown = Buffer.concat([shown, chunk])
      if (shown.length >= TOKEN_BYTES) judge()
      return shown.length < TOKEN_BYTES
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
    patience -= 1

    function judge(): void {
      const known = [...awaited].find(({ token }) => timingSafeEqual(shown.subarray(0, TOKEN_BYTES), token))
      if (known === undefined) {
        socket.destroy()
        return
      }
      // One time.
      awaited.delete(known)
      patience += 1
      leave()
      socket.off('close', leave)
      known.line.resolve({
        socket,
        listen(heard) {
          const early = shown.subarray(TOKEN_BYTES)
          hear = heard
          if (early.length === 0 || heard(early)) socket.resume()
        },
      })
    }
    if (patience <= 0) void close()
    else socket.resume()
  }

  const server = net.createServer({ pauseOnConnect: true }, greet)
  server.on('error', () => {})
  const path = join(folder, SOCKET)
  // Never fails, for nobody waits for it at a helper's end: what stays is swept.
  const hide = () => rm(folder, { recursive: true, force: true }).catch(() => {})
  async function close(): Promise<void> {
    isOpen = false
    server.close()
    for (const stranger of strangers) stranger.destroy()
    for (const one of awaited) one.line.reject(new Error('the door to the direct data path was closed'))
    awaited.clear()
    await hide()
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
    expect() {
      if (!isOpen) return undefined
      const one: Awaited = { token: randomBytes(TOKEN_BYTES), line: new Opening() }
      awaited.add(one)
      const withdraw = () => {
        awaited.delete(one)
        one.line.reject(new Error('not awaited any more'))
        one.line.settled.then(
          ({ socket }) => socket.destroy(),
          () => {},
        )
      }
      return { token: one.token, line: one.line.settled, withdraw }
    },
    hide,
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
