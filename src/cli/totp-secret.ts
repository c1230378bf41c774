/** `hatchway totp-secret NAME`: prints a new secret for totpSecret, and for the phone that shows the codes. */
import { randomBytes } from 'node:crypto'
import { fstatSync } from 'node:fs'
import { renderUnicodeCompact } from 'uqr'
import { otpauthUri } from '../auth/totp.ts'
import { USER_NAME } from '../base/login-name.ts'
import { CliFailure } from '../control/cli-failure.ts'

/** RFC 4226 §4 R6. */
const SECRET_BYTES = 20

export interface NewTotpSecret {
  /** A valid totpSecret. */
  readonly uri: string
  /** The same as a QR code, for a terminal. */
  readonly picture: string
}

export function totpSecretCommand(name: string): NewTotpSecret {
  if (!USER_NAME.test(name)) throw new CliFailure(`${JSON.stringify(name)} cannot be the name of a user`, 2)
  const uri = otpauthUri(randomBytes(SECRET_BYTES), name)
  return { uri, picture: renderUnicodeCompact(uri) }
}

/** Returns where the configuration has the secret: in itself, or in a file of which it has the name. */
export function whereToPut(name: string, descriptor = 1): string {
  const key = fstatSync(descriptor).isFile()
    ? "that file's name is the totpSecretFile"
    : 'the otpauth:// line is the totpSecret'
  return `${key} of ${name} under users: in the configuration`
}

/** Returns what to do where standard output is a file that others may read; the gateway refuses to read such a secret. */
export function advisedMode(descriptor = 1): string | undefined {
  const stats = fstatSync(descriptor)
  const isSafe = !stats.isFile() || (stats.mode & 0o077) === 0
  return isSafe ? undefined : 'others may read the file this is written to: chmod 600 it, or the gateway refuses it'
}
