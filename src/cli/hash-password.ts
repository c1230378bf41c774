/** `hatchway hash-password`: prints the value for passwordHash. */
import { hashPassword } from '../auth/password-hash.ts'
import { CliFailure } from '../control/cli-failure.ts'
import { readSecret } from './read-secret.ts'

/** The longest password that the server accepts (auth-requests.ts). */
const LONGEST_PASSWORD_BYTES = 1024

export async function hashPasswordCommand(): Promise<string> {
  const password = await readSecret('Password: ')
  if (password === '') throw new CliFailure('an empty password would never be accepted')
  if (Buffer.byteLength(password) > LONGEST_PASSWORD_BYTES)
    throw new CliFailure(`a password has at most ${LONGEST_PASSWORD_BYTES} bytes`)
  if (process.stdin.isTTY && (await readSecret('Once more: ')) !== password) {
    throw new CliFailure('these were two different passwords')
  }
  return `${await hashPassword(Buffer.from(password))}\n`
}
