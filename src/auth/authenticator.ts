/** Authentication by public key: the keys of the configured files, or of the gateway's owner. */
import type { Logger } from 'pino'
import type { Config } from '../config/schema.ts'
import { printable } from '../printable.ts'
import type { Authenticator } from '../ssh/auth.ts'
import type { AuthorizedKey } from './authorized-keys.ts'
import type { Identity } from './identity.ts'
import { type KeyFile, keyFilePaths, ownKey, readKeyFile } from './key-files.ts'
import { whyNot } from './line-check.ts'
import { makeKeyFiles } from './make-key-files.ts'

export interface KeyAuthenticator extends Authenticator<Identity> {
  /** Look at all files now; resolves with the number of keys. Changes are found without it, at the next login. */
  reload(): Promise<number>
}

export async function openAuthenticator(
  config: Pick<Config, 'authorizedKeys' | 'keysDirectory'>,
  log: Logger,
): Promise<KeyAuthenticator> {
  let files = new Map<string, KeyFile>()
  /** By blob; the lines of one key in their order, as the first that admits counts (auth2-pubkeyfile.c). */
  let lines = new Map<string, Line[]>()
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
    if (!changed && lines.size > 0) return
    lines = new Map()
    for (const file of found.values()) {
      if (told.get(file.path)?.version !== file.version) complain(file, log)
      for (const key of file.parsed.keys) admit(key, file)
    }
  }

  function admit(key: AuthorizedKey, file: KeyFile): void {
    if (key.options.certAuthority) return
    const blob = key.blob.toString('base64')
    const line = { key, source: `${file.path}:${key.line}` }
    lines.set(blob, [...(lines.get(blob) ?? []), line])
  }

  /** One look at a time, shared by all who ask during it. */
  function current(): Promise<void> {
    running ??= refresh().finally(() => {
      running = undefined
    })
    return running
  }

  await current()
  if (lines.size === 0 && config.authorizedKeys === undefined) {
    const made = await makeKeyFiles(ownKey(config.keysDirectory), 'ed25519', 'hatchway-owner')
    log.info({ file: made.file, fingerprint: made.fingerprint }, 'no key of yours was found: made one')
    await current()
  }
  if (lines.size === 0) log.warn({ files: await keyFilePaths(config) }, 'no key is authorised: nobody can log in')

  return {
    async publicKey({ blob }, context) {
      await current()
      for (const { key, source } of lines.get(blob.toString('base64')) ?? []) {
        const reason = whyNot(key.options, context.remote.address)
        if (reason === undefined) return identityOf(key, source)
        log.info({ connection: context.connectionId, line: source, reason }, 'key not accepted')
      }
      return undefined
    },
    async reload() {
      // A look that has begun may have passed the file that just changed.
      await running
      await current()
      return lines.size
    },
  }
}

interface Line {
  readonly key: AuthorizedKey
  readonly source: string
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
    restrictions: key.options.restrictions,
  }
}

function complain(file: KeyFile, log: Logger): void {
  if (file.unsafe !== undefined) log.warn({ file: file.path, reason: file.unsafe }, 'authorized keys ignored')
  for (const { line, reason } of file.parsed.refused) log.warn({ file: `${file.path}:${line}`, reason }, 'key ignored')
}
