/** Authentication by public key: the keys of the configured files, or of the gateway's owner. */
import type { Logger } from 'pino'
import type { Config } from '../config/schema.ts'
import { printable } from '../printable.ts'
import type { Authenticator } from '../ssh/auth.ts'
import type { AuthorizedKey } from './authorized-keys.ts'
import type { Identity } from './identity.ts'
import { type KeyFile, keyFilePaths, ownKey, readKeyFile } from './key-files.ts'
import { makeKeyFiles } from './make-key-files.ts'
import { UNRESTRICTED } from './restrictions.ts'

export interface KeyAuthenticator extends Authenticator<Identity> {
  /** Look at all files now; resolves with the number of keys. Changes are found without it, at the next login. */
  reload(): Promise<number>
}

export async function openAuthenticator(
  config: Pick<Config, 'authorizedKeys' | 'keysDirectory'>,
  log: Logger,
): Promise<KeyAuthenticator> {
  let files = new Map<string, KeyFile>()
  let identities = new Map<string, Identity>()
  let running: Promise<void> | undefined

  async function refresh(): Promise<void> {
    const found = new Map<string, KeyFile>()
    for (const path of await keyFilePaths(config)) {
      const file = await readKeyFile(path, files.get(path))
      if (file) found.set(path, file)
    }
    const changed =
      found.size !== files.size || [...found].some(([path, file]) => files.get(path)?.version !== file.version)
    const told = files
    files = found
    if (!changed && identities.size > 0) return
    identities = new Map()
    for (const file of found.values()) {
      if (told.get(file.path)?.version !== file.version) complain(file, log)
      for (const key of file.parsed.keys) admit(key, file)
    }
  }

  function admit(key: AuthorizedKey, file: KeyFile): void {
    // Options restrict. A restriction that is not enforced must not be taken for none.
    if (key.options.length > 0) return
    const blob = key.blob.toString('base64')
    if (!identities.has(blob)) identities.set(blob, identityOf(key, `${file.path}:${key.line}`))
  }

  /** One look at a time, shared by all who ask during it. */
  function current(): Promise<void> {
    running ??= refresh().finally(() => {
      running = undefined
    })
    return running
  }

  await current()
  if (identities.size === 0 && config.authorizedKeys === undefined) {
    const made = await makeKeyFiles(ownKey(config.keysDirectory), 'ed25519', 'hatchway-owner')
    log.info({ file: made.file, fingerprint: made.fingerprint }, 'no key of yours was found: made one')
    await current()
  }
  if (identities.size === 0) log.warn({ files: await keyFilePaths(config) }, 'no key is authorised: nobody can log in')

  return {
    async publicKey(key) {
      await current()
      return identities.get(key.blob.toString('base64'))
    },
    async reload() {
      // A look that has begun may have passed the file that just changed.
      await running
      await current()
      return identities.size
    },
  }
}

function identityOf(key: AuthorizedKey, source: string): Identity {
  const comment = printable(key.comment).slice(0, 128)
  return {
    name: comment || key.fingerprint,
    method: 'publickey',
    fingerprint: key.fingerprint,
    keyComment: comment,
    source,
    groups: [],
    principals: [],
    restrictions: UNRESTRICTED,
  }
}

function complain(file: KeyFile, log: Logger): void {
  if (file.unsafe !== undefined) log.warn({ file: file.path, reason: file.unsafe }, 'authorized keys ignored')
  for (const { line, reason } of file.parsed.refused) log.warn({ file: `${file.path}:${line}`, reason }, 'key ignored')
  for (const key of file.parsed.keys.filter((key) => key.options.length > 0)) {
    const options = key.options.map((option) => option.name).join(', ')
    const reason = `key options are not served yet (${printable(options)}), and ignoring them would lift a restriction`
    log.warn({ file: `${file.path}:${key.line}`, reason }, 'key ignored')
  }
}
