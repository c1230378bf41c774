/** Key pairs of one person, as files. */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './run.ts'

/** RSA and ECDSA as PEM, which older clients need. */
const KINDS = {
  ed25519: ['-t', 'ed25519'],
  rsa: ['-t', 'rsa', '-b', '2048', '-m', 'PEM'],
  ecdsa: ['-t', 'ecdsa', '-b', '256', '-m', 'PEM'],
} as const

/** Fresh ones: a file for each kind, its public half beside it, and `authorized_keys` with all of those. */
export async function writeClientKeys(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const lines = await Promise.all(
    Object.entries(KINDS).map(async ([name, type]) => {
      const file = join(dir, name)
      const made = await run('ssh-keygen', ['-q', '-N', '', '-C', `hw-test-${name}`, '-f', file, ...type])
      if (made.code !== 0) throw new Error(`ssh-keygen: ${made.stderr.toString()}`)
      return readFile(`${file}.pub`, 'utf8')
    }),
  )
  const authorized = join(dir, 'authorized_keys')
  await writeFile(authorized, lines.join(''))
  await chmod(authorized, 0o600)
}
