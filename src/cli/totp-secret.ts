/** `hatchway totp-secret NAME`: prints a new secret for totpSecret, and for the phone that shows the codes. */
import { randomBytes } from 'node:crypto'
import { renderUnicodeCompact } from 'uqr'
import { otpauthUri } from '../auth/totp.ts'
import { USER_NAME } from '../base/login-name.ts'
import { CliFailure } from '../control/cli-failure.ts'

/** RFC 4226 §4 R6. */
const SECRET_BYTES = 20

/** Returns a URI, which is a valid totpSecret; with `picture` also as a QR code, for a terminal. */
export function totpSecretCommand(name: string, picture: boolean): string {
  if (!USER_NAME.test(name)) throw new CliFailure(`${JSON.stringify(name)} cannot be the name of a user`, 2)
  const uri = otpauthUri(randomBytes(SECRET_BYTES), name)
  return picture ? `${renderUnicodeCompact(uri)}\n\n${uri}\n` : `${uri}\n`
}
