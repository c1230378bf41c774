/** TrustedUserCAKeys: authorities whose certificates are accepted without a line in authorized_keys. */
import type { Logger } from 'pino'
import type { AuthorizedKey } from './authorized-keys.ts'
import { type KeyFile, readKeyFile } from './key-files.ts'
import { NO_OPTIONS } from './key-options.ts'

/** Returns whether the key is an authority's. */
export type Authorities = (key: Buffer) => Promise<boolean>

export function openAuthorities(paths: readonly string[], log: Logger): Authorities {
  const files = new Map<string, KeyFile | undefined>()

  async function look(path: string): Promise<KeyFile | undefined> {
    const before = files.get(path)
    const file = await readKeyFile(path, before)
    if (!files.has(path) || before?.version !== file?.version) complain(path, file, log)
    files.set(path, file)
    return file
  }

  return async (key) => {
    const found = await Promise.all(paths.map(look))
    // A line with options is ignored: they would limit the authority, and this file sets no limits.
    return found.some((file) => file?.parsed?.keys.some((line) => line.blob.equals(key) && isBare(line)))
  }
}

function isBare({ options }: AuthorizedKey): boolean {
  return options === NO_OPTIONS
}

function complain(path: string, file: KeyFile | undefined, log: Logger): void {
  const reason = file ? file.unsafe : 'it is not there'
  if (reason !== undefined) log.warn({ file: path, reason }, 'trusted authorities ignored')
  for (const { line, reason } of file?.parsed?.refused ?? [])
    log.warn({ file: `${path}:${line}`, reason }, 'authority ignored')
  for (const { line } of file?.parsed?.keys.filter((key) => !isBare(key)) ?? []) {
    log.warn({ file: `${path}:${line}`, reason: 'options mean nothing here' }, 'authority ignored')
  }
}
