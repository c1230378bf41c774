/**
 * Content of files between a client and the engine, on the gateway's disk and not in its memory. A client may read slowly
 * and in any order; the engine's stream holds a lock of the container and must be read at once.
 */
import { type FileHandle, mkdtemp, open, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SftpError } from './wire.ts'

const GIB = 1024 ** 3
/** What one session may have on the gateway's disk, and one identity in all its sessions. */
const MAX_SESSION_BYTES = 2 * GIB
export const MAX_IDENTITY_BYTES = 4 * GIB
/** What a byte counts on a file system in memory, so that a session has 128 MiB and an identity 256 MiB. */
const MEMORY_WEIGHT = 16
/** TMPFS_MAGIC and RAMFS_MAGIC of statfs(2). */
const IN_MEMORY = [0x01021994, 0x858458f6]
const PIECE_BYTES = 256 * 1024

/** The space that an identity has left. */
export interface Space {
  take(bytes: number): boolean
  give(bytes: number): void
}

/** The spools of one session. */
export class Spools {
  readonly #space: Space
  readonly #folders: readonly string[]
  #used = 0

  constructor(space: Space, folders = spoolFolders()) {
    this.#space = space
    this.#folders = folders
  }

  /** @throws SftpError if the session, or its identity, would have too much on the disk */
  charge(bytes: number, weight: number): void {
    const cost = bytes * weight
    if (this.#used + cost > MAX_SESSION_BYTES) {
      const most = MAX_SESSION_BYTES / weight / (GIB / 1024)
      throw new SftpError('failure', `without the guest helper, files of more than ${most} MiB cannot be copied`)
    }
    if (cost < 0) this.#space.give(-cost)
    else if (!this.#space.take(cost)) {
      throw new SftpError('failure', 'without the guest helper, you cannot have more under way in all your sessions')
    }
    this.#used += cost
  }

  /** Makes a file without a name: it is gone once it is closed, also if the gateway is killed. */
  async make(): Promise<Spool> {
    const folder = await this.#folder()
    try {
      const { type } = await statfs(folder)
      const file = await open(join(folder, 'spool'), 'wx+', 0o600)
      return new Spool(file, this, IN_MEMORY.includes(type) ? MEMORY_WEIGHT : 1)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }

  async #folder(): Promise<string> {
    let failure: unknown
    for (const parent of this.#folders) {
      try {
        return await mkdtemp(join(parent, 'hatchway-sftp-'))
      } catch (error) {
        failure ??= error
      }
    }
    throw failure
  }
}

/** /tmp is in memory on many systems, /var/tmp is for large files (file-hierarchy(7)). */
function spoolFolders(): readonly string[] {
  return process.env.TMPDIR === undefined ? ['/var/tmp', tmpdir()] : [process.env.TMPDIR]
}

export class Spool {
  readonly #file: FileHandle
  readonly #spools: Spools
  readonly #weight: number
  #size = 0

  constructor(file: FileHandle, spools: Spools, weight: number) {
    this.#file = file
    this.#spools = spools
    this.#weight = weight
  }

  get size(): number {
    return this.#size
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const { bytesRead, buffer } = await this.#file.read(Buffer.alloc(length), 0, length, offset)
    return buffer.subarray(0, bytesRead)
  }

  async write(offset: number, bytes: Buffer): Promise<void> {
    this.#grow(Math.max(this.#size, offset + bytes.length))
    for (let done = 0; done < bytes.length; ) {
      done += (await this.#file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten
    }
  }

  async truncate(size: number): Promise<void> {
    this.#grow(size)
    await this.#file.truncate(size)
  }

  #grow(size: number): void {
    this.#spools.charge(size - this.#size, this.#weight)
    this.#size = size
  }

  async *content(): AsyncGenerator<Buffer> {
    for (let at = 0; at < this.#size; ) {
      const piece = await this.read(at, Math.min(PIECE_BYTES, this.#size - at))
      if (piece.length === 0) throw new Error('the spool ends early')
      at += piece.length
      yield piece
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#spools.charge(-this.#size, this.#weight)
    this.#size = 0
    await this.#file.close().catch(() => undefined)
  }
}
