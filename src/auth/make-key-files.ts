/** A new key pair on disk: private 0600, public 0644, in a directory that is 0700 unless it was there before. */
import { randomBytes } from 'node:crypto'
import { link, mkdir, unlink, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
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
  // Written aside and linked: two gateways starting at once agree on one key, and none reads half a file.
  const aside = `${file}.${randomBytes(6).toString('hex')}.new`
  await writeFile(aside, key.privateFile, { mode: 0o600, flag: 'wx' })
  try {
    await link(aside, file)
  } finally {
    await unlink(aside)
  }
  await writeFile(`${file}.pub`, key.publicFile, { mode: 0o644 })
  return { file, fingerprint: fingerprint(key.blob) }
}
