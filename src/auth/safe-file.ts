/** Reads a file that decides who may log in: only if nobody else may write it, and parsed again only if it changed. */
import { constants } from 'node:fs'
import { type FileHandle, open, realpath } from 'node:fs/promises'
import { homedir } from 'node:os'
import { isErrno, messageOf } from '../base/errors.ts'
import { unsafe } from './strict-modes.ts'
import { mustBeOfTheFile } from './undecided.ts'

const MAX_FILE_BYTES = 8 * 1024 * 1024
/** /dev/null, major 1 and minor 3. */
const NULL_DEVICE = 0x103

export interface SafeFile<T> {
  readonly path: string
  /** Changes when the file does. */
  readonly version: string
  /** Absent if the whole file is ignored; `unsafe` says why. */
  readonly parsed?: T
  readonly unsafe?: string
}

export interface ReadOptions<T> {
  readonly parse: (bytes: Buffer) => T
  /** In bytes; absent: 8 MiB. */
  readonly limit?: number
}

export function home(): string {
  return process.env.HOME || homedir()
}

/**
 * Returns undefined if there is no such file, and `before` while the file is unchanged.
 * @throws HatchwayError LOGIN_UNDECIDED if the fault is not the file's
 */
export async function readSafeFile<T>(
  path: string,
  before: SafeFile<T> | undefined,
  { parse, limit = MAX_FILE_BYTES }: ReadOptions<T>,
): Promise<SafeFile<T> | undefined> {
  let file: FileHandle
  try {
    // Non-blocking: a FIFO of that name must not stop every login.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined
    mustBeOfTheFile(path, error)
    return { path, version: 'unreadable', unsafe: messageOf(error) }
  }
  try {
    const stats = await file.stat()
    const version = [stats.dev, stats.ino, stats.size, stats.mtimeMs, stats.ctimeMs].join(':')
    // /dev/null is the usual way to say "none", and sshd reads it, too.
    if (stats.isCharacterDevice() && stats.rdev === NULL_DEVICE)
      return { path, version, parsed: parse(Buffer.alloc(0)) }
    // Before the version is compared: the directories above may have changed without the file.
    const bad = stats.isFile() ? unsafe(await realpath(path), stats, home()) : `${path} is no regular file`
    if (bad !== undefined) return { path, version: `unsafe ${version}`, unsafe: bad }
    if (before?.version === version) return before
    if (stats.size > limit) return { path, version, unsafe: `${path} is larger than ${limit} bytes` }
    const bytes = await file.readFile()
    try {
      return { path, version, parsed: parse(bytes) }
    } catch (error) {
      return { path, version, unsafe: `${path} cannot be read: ${messageOf(error)}` }
    }
  } catch (error) {
    mustBeOfTheFile(path, error)
    return { path, version: 'unreadable', unsafe: messageOf(error) }
  } finally {
    await file.close()
  }
}
