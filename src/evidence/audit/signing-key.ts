/** The key that signs the heads of the audit trail: ed25519, of its own, in OpenSSH's format, made at the first start. */
import type { KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { makeKeyFiles } from '../../auth/make-key-files.ts'
import { readSigningKey, typeOf } from '../../auth/openssh-key.ts'
import { HatchwayError, isErrno, messageOf } from '../../base/errors.ts'
import { fingerprint } from '../../ssh/public-key.ts'

/** Of its signatures, and whom an allowed_signers file names. */
export const AUDIT_NAMESPACE = 'hatchway-audit'

export interface SigningKey {
  readonly key: KeyObject
  /** The public key, RFC 4253 §6.6. */
  readonly blob: Buffer
  readonly fingerprint: string
  readonly file: string
}

export function signingKeyFile(keysDirectory: string): string {
  return join(keysDirectory, 'audit_ed25519_key')
}

/** @throws HatchwayError CONFIG_INVALID naming the file */
export async function openSigningKey(keysDirectory: string): Promise<SigningKey> {
  const file = signingKeyFile(keysDirectory)
  try {
    const content = await readFile(file).catch(async (error: unknown) => {
      if (!isErrno(error, 'ENOENT')) throw error
      // Of two gateways that start at once the first one's key is both's.
      await makeKeyFiles(file, 'ed25519', `${AUDIT_NAMESPACE}@${hostname()}`).catch((failure: unknown) => {
        if (!isErrno(failure, 'EEXIST')) throw failure
      })
      return readFile(file)
    })
    const { key, blob } = readSigningKey(content)
    return { key, blob, fingerprint: fingerprint(blob), file }
  } catch (error) {
    throw new HatchwayError(
      'CONFIG_INVALID',
      `the key of the audit trail ${file} cannot be used (${messageOf(error)})`,
      {
        cause: error,
      },
    )
  }
}

/** A line for `ssh-keygen -Y verify -f`. */
export function allowedSigner(blob: Buffer): string {
  return `${AUDIT_NAMESPACE} namespaces="${AUDIT_NAMESPACE}" ${typeOf(blob)} ${blob.toString('base64')}\n`
}
