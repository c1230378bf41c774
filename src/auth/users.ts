/** The users of the configuration, and which keys, principals and files are theirs. */
import { readFile, stat } from 'node:fs/promises'
import { HatchwayError } from '../base/errors.ts'
import type { Config } from '../config/schema.ts'
import { type PasswordHash, parsePasswordHash, parseTotp, type TotpKey } from '../config/secrets.ts'
import { parseMethods } from '../config/users.ts'
import type { MethodList } from '../ssh/auth-methods.ts'
import { parseAuthorizedKeys } from './authorized-keys.ts'
import type { Identity } from './identity.ts'

export interface User {
  readonly name: string
  readonly groups: readonly string[]
  readonly passwordHash?: PasswordHash
  readonly totp?: TotpKey
  readonly authenticationMethods?: readonly MethodList[]
}

export interface Users {
  readonly all: readonly User[]
  find(name: string | undefined): User | undefined
  /**
   * Returns the identity under its user's name. A configured name belongs to its user: another key with that name as
   * comment goes by its fingerprint, as anybody may have written the comment (authorizedKeysCommand).
   */
  own(identity: Identity): Identity
}

/** @throws HatchwayError CONFIG_INVALID if the file of a secret cannot be used */
export async function openUsers(config: Config['users']): Promise<Users> {
  const all = await Promise.all(
    Object.entries(config).map(async ([name, user]): Promise<User> => {
      const hash = user.passwordHash === undefined ? undefined : parsePasswordHash(user.passwordHash)
      const secret = user.totpSecretFile === undefined ? user.totpSecret : await readSecret(user.totpSecretFile)
      const totp = secret === undefined ? undefined : parseTotp(secret)
      if (secret !== undefined && !totp) {
        throw new HatchwayError('CONFIG_INVALID', `${user.totpSecretFile} holds no TOTP secret (hatchway totp-secret)`)
      }
      return {
        name,
        groups: user.groups,
        ...(hash && { passwordHash: hash }),
        ...(totp && { totp }),
        ...(user.authenticationMethods && { authenticationMethods: parseMethods(user.authenticationMethods) ?? [] }),
      }
    }),
  )
  const byName = new Map(all.map((user) => [user.name, user]))
  const byFingerprint = new Map<string, User>()
  const byPrincipal = new Map<string, User>()
  const byFile = new Map<string, User>()
  for (const user of all) {
    const { keys = [], principals = [], authorizedKeys = [] } = config[user.name] ?? {}
    for (const key of keys.filter(isFingerprint)) once(byFingerprint, key, user)
    for (const key of parseAuthorizedKeys(keys.join('\n')).keys) {
      if (!key.options.certAuthority) once(byFingerprint, key.fingerprint, user)
    }
    for (const principal of principals) once(byPrincipal, principal, user)
    for (const file of [...authorizedKeys, inlineSource(user.name)]) once(byFile, file, user)
  }

  function ownerOf({ fingerprint, principals, source }: Identity): User | undefined {
    const owners = new Set([byFile.get(source.replace(/:\d+$/, '')), byFingerprint.get(fingerprint)])
    for (const principal of principals) owners.add(byPrincipal.get(principal))
    owners.delete(undefined)
    return owners.size === 1 ? [...owners][0] : undefined
  }

  function own(identity: Identity): Identity {
    const owner = ownerOf(identity)
    if (owner) return { ...identity, name: owner.name, groups: [...new Set([...identity.groups, ...owner.groups])] }
    return byName.has(identity.name) ? { ...identity, name: identity.fingerprint } : identity
  }

  return {
    all,
    find: (name) => (name === undefined ? undefined : byName.get(name)),
    own,
  }
}

/** The source of a key that stands in the configuration itself. */
export function inlineSource(user: string): string {
  return `users.${user}.keys`
}

/** A fingerprint only says whose a key is; the key is authorised elsewhere. */
export function isFingerprint(key: string): boolean {
  return key.startsWith('SHA256:')
}

function once(map: Map<string, User>, key: string, user: User): void {
  const other = map.get(key)
  if (other && other !== user) {
    throw new HatchwayError('CONFIG_INVALID', `${key} is listed for two users, ${other.name} and ${user.name}`)
  }
  map.set(key, user)
}

async function readSecret(file: string): Promise<string> {
  try {
    const { mode } = await stat(file)
    if ((mode & 0o077) !== 0) {
      throw new HatchwayError('CONFIG_INVALID', `${file} can be read by others than its owner (chmod 600 ${file})`)
    }
    return (await readFile(file, 'utf8')).trim()
  } catch (error) {
    if (error instanceof HatchwayError) throw error
    throw new HatchwayError('CONFIG_INVALID', `cannot read ${file}`, { cause: error })
  }
}
