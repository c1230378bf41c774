// One user key for every target, and the ssh configuration that makes the clients alike.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { output } from './command.mjs'
import { onClose } from './stop.mjs'

/** What every ssh target is asked for, so that no server is measured at a cheaper exchange than another. */
export const KEX = 'curve25519-sha256'
export const CIPHER = 'aes128-gcm@openssh.com'
export const CHACHA = 'chacha20-poly1305@openssh.com'

/** A folder in memory where there is one: files of sftp are written there. */
export function makeScratch() {
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'hw-bench-'))
  onClose(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export async function makeKeys(folder) {
  const file = join(folder, 'user')
  await output(['ssh-keygen', '-q', '-N', '', '-t', 'ed25519', '-C', 'hw-bench', '-f', file])
  return { file, privateKey: readFileSync(file), authorized: `${file}.pub` }
}

/** Host t: everything forced. Host d: the key exchange that client and server agree on when nobody asks. */
export function writeSshConfig(file, { host, port, user, key }) {
  const common = [
    `HostName ${host}`,
    `Port ${port}`,
    `User "${user}"`,
    `IdentityFile ${key}`,
    'IdentitiesOnly yes',
    'PreferredAuthentications publickey',
    'BatchMode yes',
    'StrictHostKeyChecking no',
    'UserKnownHostsFile /dev/null',
    'UpdateHostKeys no',
    'HostKeyAlgorithms ssh-ed25519',
    'LogLevel ERROR',
    'ConnectTimeout 30',
    'Compression no',
  ]
  const forced = [`KexAlgorithms ${KEX}`, `Ciphers ${CIPHER}`]
  const block = (name, lines) => [`Host ${name}`, ...lines.map((line) => `  ${line}`), ''].join('\n')
  writeFileSync(file, block('t', [...forced, ...common]) + block('d', common))
}
