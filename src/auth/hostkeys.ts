/** Host keys: the configured files, or three made in keysDirectory at the first start. */
import { readFile, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { HatchwayError, messageOf } from '../base/errors.ts'
import type { Config } from '../config/schema.ts'
import { fingerprint } from '../ssh/public-key.ts'
import { makeKeyFiles } from './make-key-files.ts'
import { type KeyKind, readPrivateKey, typeOf } from './openssh-key.ts'

export interface HostKey {
  readonly file: string
  /** "ssh-ed25519" */
  readonly type: string
  readonly fingerprint: string
  /** Public key blob, RFC 4253 §6.6. */
  readonly blob: Buffer
  /** In OpenSSH's format, whatever the format of the file. A secret. */
  readonly privateKey: Buffer
}

/** "ssh-ed25519 AAAA...", as known_hosts has it. */
export function publicLine({ type, blob }: Pick<HostKey, 'type' | 'blob'>): string {
  return `${type} ${blob.toString('base64')}`
}

/** sshd's order of preference. */
const KINDS: readonly KeyKind[] = ['ed25519', 'ecdsa', 'rsa']

/**
 * @param warn is called for each skipped file with a sentence that names it
 * @throws HatchwayError CONFIG_INVALID naming the file
 */
export async function loadHostKeys(
  config: Pick<Config, 'hostKeys' | 'keysDirectory'>,
  warn: (sentence: string) => void,
): Promise<HostKey[]> {
  const files = config.hostKeys
  if (files.length === 0) {
    return Promise.all(ownHostKeys(config.keysDirectory).map(({ file, kind }) => ownHostKey(file, kind)))
  }
  const keys: HostKey[] = []
  for (const found of await Promise.all(files.map(readHostKey))) {
    if ('privateKey' in found) keys.push(found)
    else warn(`host key ${found.file} is skipped: it is a DSA key, which no client accepts any more`)
  }
  if (keys.length === 0) throw broken(files.join(', '), 'cannot be used: no key of a type that clients accept')
  return keys
}

/** The files of the host keys that Hatchway makes. */
export function ownHostKeys(directory: string): { readonly file: string; readonly kind: KeyKind }[] {
  return KINDS.map((kind) => ({ file: join(directory, `ssh_host_${kind}_key`), kind }))
}

async function ownHostKey(file: string, kind: KeyKind): Promise<HostKey> {
  if (!(await exists(file))) {
    try {
      await makeKeyFiles(file, kind, `hatchway@${hostname()}`)
    } catch (error) {
      // Another gateway made the key first: it is as good.
      if (!(await exists(file))) throw broken(file, `cannot be made (${messageOf(error)})`, error)
    }
  }
  const key = await readHostKey(file)
  if ('privateKey' in key) return key
  throw broken(file, 'cannot be used: it is a DSA key, which no client accepts any more')
}

/** Returns only the file's name for a DSA key. */
async function readHostKey(file: string): Promise<HostKey | { readonly file: string }> {
  try {
    const { mode, uid } = await stat(file)
    // As sshkey_perm_ok() of authfile.c: the mode matters only for files of our own.
    if (uid === process.getuid?.() && (mode & 0o077) !== 0) {
      throw broken(file, `can be read by others; it must not (chmod 600 ${file})`)
    }
    const key = readPrivateKey(await readFile(file))
    if (key === 'dsa') return { file }
    const { blob, privateKey } = key
    return { file, type: typeOf(blob), fingerprint: fingerprint(blob), blob, privateKey }
  } catch (error) {
    if (error instanceof HatchwayError) throw error
    throw broken(file, `cannot be used (${messageOf(error)})`, error)
  }
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  )
}

function broken(file: string, what: string, cause?: unknown): HatchwayError {
  return new HatchwayError('CONFIG_INVALID', `host key ${file} ${what}`, { cause })
}
