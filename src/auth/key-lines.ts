/** The lines of authorized_keys for an offered key: from the files, and from AuthorizedKeysCommand. */
import type { Logger } from 'pino'
import type { Config } from '../config/schema.ts'
import type { AuthContext } from '../ssh/auth.ts'
import { fingerprint } from '../ssh/public-key.ts'
import { type AuthorizedKey, parseAuthorizedKeys } from './authorized-keys.ts'
import type { Certificate } from './certificate.ts'
import { openHelper } from './helper-program.ts'
import { configuredKeys, type KeyFile, keyFilePaths, readKeyFile } from './key-files.ts'
import { KEY_TOKENS, keyTokens, loginTokens, type ReadLogin } from './login-tokens.ts'

export interface LineQuery {
  /** As the client offered it: a plain key, or the certificate. */
  readonly blob: Buffer
  readonly certificate?: Certificate
  readonly context: AuthContext
}

export interface KeyLine {
  readonly key: AuthorizedKey
  /** "FILE:LINE" */
  readonly source: string
}

/** Returns the lines of the offered key, or of the certificate's authority, in their order. */
export type LineSource = (offer: LineQuery) => Promise<readonly KeyLine[]>

export interface KeyLines {
  readonly lines: LineSource
  /** Reads all files now; resolves with the number of keys. */
  count(): Promise<number>
  /** As count(), but the reading begins after this call. */
  reload(): Promise<number>
}

export type KeyLineSettings = Pick<Config, 'authorizedKeys' | 'keysDirectory'> & Partial<Pick<Config, 'users'>>

export function openKeyLines(config: KeyLineSettings, log: Logger): KeyLines {
  const { users = {} } = config
  // Lines of configured users first: the first line of a key counts, and says whose it is.
  const configured = configuredKeys(users)
  const usersFiles = Object.values(users).flatMap((user) => user.authorizedKeys)
  let files = new Map<string, KeyFile>()
  let lines = new Map<string, KeyLine[]>()
  let running: Promise<void> | undefined

  async function refresh(): Promise<void> {
    const found = new Map(configured.map((file) => [file.path, file]))
    for (const path of [...usersFiles, ...(await keyFilePaths(config))]) {
      const file = await readKeyFile(path, files.get(path))
      if (file) found.set(path, file)
    }
    const before = files
    const isNew = ({ path, version }: KeyFile) => before.get(path)?.version !== version
    files = found
    if (found.size === before.size && ![...found.values()].some(isNew)) return
    lines = new Map()
    for (const file of found.values()) {
      if (isNew(file)) complain(file, log)
      for (const key of file.parsed?.keys ?? []) add({ key, source: `${file.path}:${key.line}` })
    }
  }

  function add(line: KeyLine): void {
    const id = lineId(line.key.blob, line.key.options.certAuthority)
    const same = lines.get(id)
    if (same) same.push(line)
    else lines.set(id, [line])
  }

  /** Reads once at a time; callers that come meanwhile share the result. */
  function current(): Promise<void> {
    running ??= refresh().finally(() => {
      running = undefined
    })
    return running
  }

  async function count(): Promise<number> {
    await current()
    return lines.size
  }

  return {
    async lines({ blob, certificate }) {
      await current()
      return lines.get(lineId(certificate?.authority ?? blob, certificate !== undefined)) ?? []
    },
    count,
    async reload() {
      // A reading that has begun may have passed the file that just changed.
      await running
      return count()
    },
  }
}

export type KeyCommandSettings = Pick<Config, 'authorizedKeysCommand' | 'authorizedKeysCommandUser'>

const COMMAND = 'authorizedKeysCommand'

/** Returns whether `source` names a line of AuthorizedKeysCommand. */
export function isOfCommand(source: string): boolean {
  return source.startsWith(`${COMMAND}:`)
}

/** Returns undefined if none is configured. @throws HatchwayError CONFIG_INVALID */
export async function openKeyCommand(
  { authorizedKeysCommand: command, authorizedKeysCommandUser: user }: KeyCommandSettings,
  readLogin: ReadLogin,
  log: Logger,
): Promise<LineSource | undefined> {
  if (command === undefined) return undefined
  const helper = await openHelper({ key: COMMAND, command, user, tokens: KEY_TOKENS }, log)
  return async ({ blob, certificate, context }) => {
    const print = certificate?.fingerprint ?? fingerprint(blob)
    const output = await helper({ ...loginTokens(context, readLogin), ...keyTokens(blob, print) }, context)
    const { keys, refused } = parseAuthorizedKeys(output ?? '')
    for (const { line, reason } of refused) log.info({ line: `${COMMAND}:${line}`, reason }, 'key ignored')
    const id = lineId(certificate?.authority ?? blob, certificate !== undefined)
    return keys
      .filter((key) => lineId(key.blob, key.options.certAuthority) === id)
      .map((key) => ({ key, source: `${COMMAND}:${key.line}` }))
  }
}

/** Tells authorities from plain keys: neither counts as the other. */
function lineId(blob: Buffer, authority: boolean): string {
  return `${authority ? 'authority' : 'key'} ${blob.toString('base64')}`
}

function complain({ path, unsafe, parsed }: KeyFile, log: Logger): void {
  if (unsafe !== undefined) log.warn({ file: path, reason: unsafe }, 'authorized keys ignored')
  for (const { line, reason } of parsed?.refused ?? []) log.warn({ file: `${path}:${line}`, reason }, 'key ignored')
}
