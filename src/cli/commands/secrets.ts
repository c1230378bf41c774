/** The command lines of `hatchway hash-password` and `totp-secret`; what they do is loaded when they run. */
import type { Command } from 'commander'
import { print } from './options.ts'

export function registerHashPassword(program: Command): void {
  program
    .command('hash-password')
    .description("ask for a password and print what to write behind a user's passwordHash")
    .action(async () => print(await (await import('../hash-password.ts')).hashPasswordCommand()))
}

export function registerTotpSecret(program: Command): void {
  program
    .command('totp-secret')
    .description("make a secret for a user's verification codes: an otpauth:// URI for totpSecret and for the phone")
    .argument('<name>', 'the user')
    .action(async (name: string) => {
      const { advisedMode, totpSecretCommand, whereToPut } = await import('../totp-secret.ts')
      const { uri, picture } = totpSecretCommand(name)
      // On standard error: `totp-secret alice >alice.totp` shows it to the phone, and the file has the secret only.
      if (process.stderr.isTTY) process.stderr.write(`${picture}\n\n`)
      print(`${uri}\n`)
      if (process.stderr.isTTY) process.stderr.write(`hatchway: ${whereToPut(name)}\n`)
      const advice = advisedMode()
      if (advice !== undefined) process.stderr.write(`hatchway: ${advice}\n`)
    })
}
