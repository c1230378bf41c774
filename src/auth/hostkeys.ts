/** Host keys: the configured files, or three made in keysDirectory at the first start. */
import { readFile, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Config } from '../config/schema.ts'
import { HatchwayError, messageOf } from '../errors.ts'
import { fingerprint } from '../ssh/public-key.ts'
import { makeKeyFiles } from './make-key-files.ts'
import { type KeyKind, publicBlobOf, typeOf } from './openssh-key.ts'

export interface HostKey {
  readonly file: string
  /** "ssh-ed25519" */
  readonly type: string
  readonly fingerprint: string
  /** Public key blob, RFC 4253 §6.6. */
  readonly blob: Buffer
  /** The private file. A secret. */
  readonly privateKey: Buffer
}

/** sshd's order of preference. */
const KINDS: readonly KeyKind[] = ['ed25519', 'ecdsa', 'rsa']

/** @throws HatchwayError CONFIG_INVALID naming the file */
export async function loadHostKeys(config: Pick<Config, 'hostKeys' | 'keysDirectory'>): Promise<HostKey[]> {
  if (config.hostKeys.length > 0) return Promise.all(config.hostKeys.map(readHostKey))
  return Promise.all(ownHostKeys(config.keysDirectory).map(({ file, kind }) => ownHostKey(file, kind)))
}

/** Where those that Hatchway makes are kept. */
export function ownHostKeys(directory: string): { readonly file: string; readonly kind: KeyKind }[] {
  return KINDS.map((kind) => ({ file: join(directory, `ssh_host_${kind}_key`), kind }))
}

async function ownHostKey(file: string, kind: KeyKind): Promise<HostKey> {
  if (!(await exists(file))) {
    try {
      await makeKeyFiles(file, kind, `hatchway@${hostname()}`)
    } catch (error) {
      // Another gateway was faster: its key is as good.
      if (!(await exists(file))) throw broken(file, `cannot be made (${messageOf(error)})`, error)
    }
  }
  return readHostKey(file)
}

async function readHostKey(file: string): Promise<HostKey> {
  try {
    const { mode, uid } = await stat(file)
    // authfile.c sshkey_perm_ok: only a file of our own is our own fault.
    if (uid === process.getuid?.() && (mode & 0o077) !== 0) {
      throw broken(file, `can be read by others; it must not (chmod 600 ${file})`)
    }
    const privateKey = await readFile(file)
    const blob = publicBlobOf(privateKey)
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
