/** Public keys that may sign evidence, from files of them or of allowed signers. */
import { readFile } from 'node:fs/promises'
import { isErrno, messageOf } from '../base/errors.ts'
import { CliFailure } from '../control/cli-failure.ts'

export async function readKeys(file: string): Promise<Buffer[]> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    const advice = isErrno(error, 'ENOENT')
      ? '; a gateway with audit.file or recording.directory makes it as it starts, in its own keysDirectory: name that with --keys'
      : ''
    throw new CliFailure(`the key of the audit trail ${file} cannot be read: ${messageOf(error)}${advice}`)
  })
  const found = [...text.matchAll(/^[^#\n]*?\bssh-ed25519 ([A-Za-z0-9+/=]+)/gm)]
  if (found.length === 0) throw new CliFailure(`${file} has no ed25519 key`)
  return found.map(([, base64 = '']) => Buffer.from(base64, 'base64'))
}
