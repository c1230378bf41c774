/** Makes a key pair on disk: private 0600, public 0644, in a directory that is 0700 unless it existed before. */
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { makeFile, replaceFile } from '../base/whole-file.ts'
import { fingerprint } from '../ssh/public-key.ts'
import { type KeyKind, makeKey } from './openssh-key.ts'

export interface MadeKeyFiles {
  readonly file: string
  readonly fingerprint: string
}

/** Leaves an existing private key alone. @throws when the directory cannot be written */
export async function makeKeyFiles(file: string, kind: KeyKind, comment: string): Promise<MadeKeyFiles> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const key = await makeKey(kind, comment)
  // Two gateways starting at once agree on one key, and none reads half a file.
  await makeFile(file, key.privateFile, 0o600)
  await replaceFile(`${file}.pub`, key.publicFile, 0o644)
  return { file, fingerprint: fingerprint(key.blob) }
}
