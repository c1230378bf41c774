/** Files with authorised keys: which, read safely, and anew when they changed. */
import { constants } from 'node:fs'
import { type FileHandle, open, readdir, realpath } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Config } from '../config/schema.ts'
import { type ParsedKeys, parseAuthorizedKeys } from './authorized-keys.ts'
import { unsafe } from './strict-modes.ts'

const MAX_FILE = 8 * 1024 * 1024

export interface KeyFile {
  readonly path: string
  /** Changes when the file does. */
  readonly version: string
  readonly parsed: ParsedKeys
  /** Why it is ignored as a whole. */
  readonly unsafe?: string
}

export function home(): string {
  return process.env.HOME || homedir()
}

/** The key that Hatchway makes for its owner when there is no other. */
export function ownKey(keysDirectory: string): string {
  return join(keysDirectory, 'id_ed25519')
}

/** The configured files, or those of the person who started us. */
export async function keyFilePaths(config: Pick<Config, 'authorizedKeys' | 'keysDirectory'>): Promise<string[]> {
  if (config.authorizedKeys) return [...config.authorizedKeys]
  const ssh = join(home(), '.ssh')
  const names = await readdir(ssh).catch(() => [])
  const publicKeys = names.filter((name) => name.endsWith('.pub') && !name.endsWith('-cert.pub')).sort()
  return [
    join(ssh, 'authorized_keys'),
    ...publicKeys.map((name) => join(ssh, name)),
    join(config.keysDirectory, 'authorized_keys'),
    `${ownKey(config.keysDirectory)}.pub`,
  ]
}

/** Undefined: there is no such file. `before` is returned unchanged while the file is. */
export async function readKeyFile(path: string, before: KeyFile | undefined): Promise<KeyFile | undefined> {
  let file: FileHandle
  try {
    // Non-blocking: a FIFO of that name must not stop every login.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (isMissing(error)) return undefined
    return ignored(path, 'unreadable', error instanceof Error ? error.message : String(error))
  }
  try {
    const stats = await file.stat()
    const version = [stats.dev, stats.ino, stats.size, stats.mtimeMs, stats.ctimeMs].join(':')
    // Directories above may have changed without the file: only what was trusted is trusted again after a look.
    const bad = stats.isFile() ? unsafe(await realpath(path), stats, home()) : `${path} is no regular file`
    if (bad !== undefined) return ignored(path, `unsafe ${version}`, bad)
    if (before?.version === version && before.unsafe === undefined) return before
    if (stats.size > MAX_FILE) return ignored(path, version, `${path} is larger than ${MAX_FILE} bytes`)
    return { path, version, parsed: parseAuthorizedKeys(await file.readFile('utf8')) }
  } catch (error) {
    return ignored(path, 'unreadable', error instanceof Error ? error.message : String(error))
  } finally {
    await file.close()
  }
}

function ignored(path: string, version: string, reason: string): KeyFile {
  return { path, version, parsed: { keys: [], refused: [] }, unsafe: reason }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}
