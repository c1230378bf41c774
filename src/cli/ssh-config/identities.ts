/** Returns the identities that this user has for the gateway, one for each public key that it accepts. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openAuthenticator } from '../../auth/authenticator.ts'
import type { Identity } from '../../auth/identity.ts'
import { ownKey } from '../../auth/key-files.ts'
import { openUsers } from '../../auth/users.ts'
import type { Config } from '../../config/schema.ts'
import { deadline } from '../../lifetime/deadline.ts'
import type { Logger } from '../../observe/log.ts'

const HERE = { address: '127.0.0.1', port: 0 }

export async function ownIdentities(config: Config, sshFolder: string, log: Logger): Promise<Identity[]> {
  const [keys, users] = await Promise.all([openAuthenticator(config, log), openUsers(config.users)])
  const files = await readdir(sshFolder).catch(() => [])
  const publicKeys = files.filter((name) => name.endsWith('.pub')).map((name) => join(sshFolder, name))
  const context = {
    connectionId: 'config-ssh',
    user: '@',
    remote: HERE,
    local: HERE,
    signal: deadline(10_000),
  }
  const identities: Identity[] = []
  for (const file of [...publicKeys, `${ownKey(config.keysDirectory)}.pub`]) {
    const [algorithm = '', base64 = ''] = (await readFile(file, 'utf8').catch(() => '')).split(/\s+/)
    if (base64 === '') continue
    const identity = await keys.publicKey({ algorithm, blob: Buffer.from(base64, 'base64') }, context)
    if (identity) identities.push(users.own(identity))
  }
  return identities
}
