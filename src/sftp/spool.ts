/**
 * Content of files on its way between a client and the engine, on this machine's disk and not in its memory. A client may
 * read slowly and in any order; the engine's stream holds a lock of the container and must be read at once.
 */
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SftpError } from './wire.ts'

/** What one session may have on our disk. */
const LIMIT = 2 * 1024 ** 3
const PIECE = 256 * 1024

export class Spools {
  #used = 0

  /** @throws SftpError when the session would have too much here */
  charge(bytes: number): void {
    if (this.#used + bytes > LIMIT) {
      throw new SftpError(
        'failure',
        `without the guest helper, files of more than ${LIMIT / 1024 ** 3} GiB cannot be copied`,
      )
    }
    this.#used += bytes
  }

  /** A file that has no name, so that it is gone with its last user, also when we are killed. */
  async make(): Promise<Spool> {
    const folder = await mkdtemp(join(tmpdir(), 'hatchway-sftp-'))
    try {
      return new Spool(await open(join(folder, 'spool'), 'wx+', 0o600), this)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
}

export class Spool {
  readonly #file: FileHandle
  readonly #spools: Spools
  #size = 0

  constructor(file: FileHandle, spools: Spools) {
    this.#file = file
    this.#spools = spools
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
    this.#spools.charge(size - this.#size)
    this.#size = size
  }

  async *content(): AsyncGenerator<Buffer> {
    for (let at = 0; at < this.#size; ) {
      const piece = await this.read(at, Math.min(PIECE, this.#size - at))
      if (piece.length === 0) throw new Error('the spool ends early')
      at += piece.length
      yield piece
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#spools.charge(-this.#size)
    this.#size = 0
    await this.#file.close().catch(() => undefined)
  }
}
