/** The files with authorised keys: their paths, and their lines. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../config/schema.ts'
import { type ParsedKeys, parseAuthorizedKeys } from './authorized-keys.ts'
import { home, readSafeFile, type SafeFile } from './safe-file.ts'
import { mustBeOfTheFile } from './undecided.ts'
import { inlineSource, isFingerprint } from './users.ts'

export type KeyFile = SafeFile<ParsedKeys>

/** The key that Hatchway makes for its owner if there is no other. */
export function ownKey(keysDirectory: string): string {
  return join(keysDirectory, 'id_ed25519')
}

/** The configured files, or those of the person who started the gateway. */
export async function keyFilePaths(config: Pick<Config, 'authorizedKeys' | 'keysDirectory'>): Promise<string[]> {
  if (config.authorizedKeys) return [...config.authorizedKeys]
  const ssh = join(home(), '.ssh')
  const names = await readdir(ssh).catch((error: unknown) => {
    mustBeOfTheFile(ssh, error)
    return []
  })
  const publicKeys = names.filter((name) => name.endsWith('.pub') && !name.endsWith('-cert.pub')).sort()
  return [
    join(ssh, 'authorized_keys'),
    ...publicKeys.map((name) => join(ssh, name)),
    join(config.keysDirectory, 'authorized_keys'),
    `${ownKey(config.keysDirectory)}.pub`,
  ]
}

/** Keys in the configuration itself, as if each user had a file. A fingerprint there authorises no key. */
export function configuredKeys(users: Config['users']): KeyFile[] {
  return Object.entries(users).map(([name, { keys }]) => {
    const lines = keys.map((key) => (isFingerprint(key) ? '' : key))
    return { path: inlineSource(name), version: 'configured', parsed: parseAuthorizedKeys(lines.join('\n')) }
  })
}

/** Returns undefined if there is no such file, and `before` while the file is unchanged. */
export function readKeyFile(path: string, before: KeyFile | undefined): Promise<KeyFile | undefined> {
  return readSafeFile(path, before, { parse: (bytes) => parseAuthorizedKeys(bytes.toString('utf8')) })
}
