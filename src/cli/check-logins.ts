/** `hatchway config check`: is there anybody who could log in, and which user could not? */
import { existsSync } from 'node:fs'
import { type KeyFile, keyFilePaths, readKeyFile } from '../auth/key-files.ts'
import type { Config } from '../config/schema.ts'
import { parseMethods } from '../config/users.ts'
import type { Complaints } from './complaints.ts'

/** What somebody could show. */
interface Has {
  readonly key: boolean
  readonly password: boolean
  readonly code: boolean
}

type ConfiguredUser = Config['users'][string]

export async function checkLogins(config: Config, { problem, warn }: Complaints): Promise<void> {
  const { users, trustedUserCAKeys, authorizedKeysCommand } = config
  const read = async (paths: readonly string[]) =>
    (await Promise.all(paths.map((path) => readKeyFile(path, undefined)))).filter((file) => file !== undefined)
  const holdsKey = (files: readonly KeyFile[]) => files.some(({ parsed }) => parsed && parsed.keys.length > 0)

  for (const file of config.authorizedKeys ?? [])
    if (!existsSync(file)) warn(['authorizedKeys'], `${file} is not there`)
  const common = holdsKey(await read(await keyFilePaths(config)))
  // Where nothing is configured a start makes a key for its owner.
  const makesOne = config.authorizedKeys === undefined && trustedUserCAKeys.length === 0 && !authorizedKeysCommand
  const otherKeys = common || trustedUserCAKeys.length > 0 || authorizedKeysCommand !== undefined

  const all = methodLists(config)
  let anybody = all.some((list) => canDo(list, { key: otherKeys || makesOne, password: false, code: false }))
  for (const [name, user] of Object.entries(users)) {
    for (const file of user.authorizedKeys)
      if (!existsSync(file)) warn(['users', name, 'authorizedKeys'], `${file} is not there`)
    const has = {
      key: user.keys.length > 0 || user.principals.length > 0 || holdsKey(await read(user.authorizedKeys)),
      password: user.passwordHash !== undefined,
      code: (user.totpSecret ?? user.totpSecretFile) !== undefined,
    }
    const lists = user.authenticationMethods === undefined ? all : methodLists(user)
    if (lists.some((list) => canDo(list, has))) anybody = true
    else warn(['users', name], `${name} cannot log in: ${missing(lists, has)}`)
  }
  if (!anybody) {
    const wanted = all.map((list) => list.join(',')).join(' or ')
    problem(['authenticationMethods'], `nobody could log in: ${wanted}, and no key, password or code that does it`)
  }
}

function methodLists({ authenticationMethods }: Pick<Config | ConfiguredUser, 'authenticationMethods'>): string[][] {
  return (authenticationMethods === undefined ? undefined : parseMethods(authenticationMethods)) ?? []
}

/** As login.ts asks: keyboard-interactive for all that the user has, and first of all for a password. */
function canDo(list: readonly string[], has: Has): boolean {
  return list.every((method, index) => {
    if (method === 'publickey') return has.key
    if (method === 'keyboard-interactive:totp') return has.code
    if (method === 'keyboard-interactive' && index > 0) return has.password || has.code
    return has.password
  })
}

function missing(lists: readonly (readonly string[])[], has: Has): string {
  const wanted = lists.map((list) => list.join(',')).join(' or ')
  const lacks = [...(has.key ? [] : ['key']), ...(has.password ? [] : ['password']), ...(has.code ? [] : ['code'])]
  return `that takes ${wanted}, and there is no ${lacks.join(', no ')}`
}
