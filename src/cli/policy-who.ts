/** Finds the identity for `hatchway policy explain`: by a configured user, or by the comment of a key in a file. */
import type { Identity } from '../auth/identity.ts'
import { configuredKeys, keyFilePaths, readKeyFile } from '../auth/key-files.ts'
import { UNRESTRICTED } from '../auth/restrictions.ts'
import { openUsers } from '../auth/users.ts'
import type { Config } from '../config/schema.ts'

export interface WhoOptions {
  /** SHA256:..., if the user has several keys. */
  readonly key?: string | undefined
  readonly groups: readonly string[]
  readonly principals: readonly string[]
}

/** Returns the identity of a login; if no key is found, that of a login by certificate or password under this name. */
export async function identityNamed(config: Config, name: string, options: WhoOptions): Promise<Identity> {
  const users = await openUsers(config.users)
  const theirs = (await allKeys(config))
    .map((identity) => users.own(identity))
    .filter((identity) => identity.name === name && (options.key ?? identity.fingerprint) === identity.fingerprint)
  const found = theirs[0] ?? nobody(name, options.key ?? '', users.find(name)?.groups ?? [])
  return {
    ...found,
    groups: [...found.groups, ...options.groups],
    principals: [...found.principals, ...options.principals],
  }
}

async function allKeys(config: Config): Promise<Identity[]> {
  const paths = [...Object.values(config.users).flatMap((user) => user.authorizedKeys), ...(await keyFilePaths(config))]
  const files = await Promise.all(paths.map((path) => readKeyFile(path, undefined)))
  return [...configuredKeys(config.users), ...files].flatMap((file) =>
    (file?.parsed?.keys ?? [])
      .filter(({ options }) => !options.certAuthority)
      .map(({ fingerprint, comment, options, line }) => ({
        ...nobody(comment || fingerprint, fingerprint, []),
        source: `${file?.path}:${line}`,
        restrictions: options.restrictions,
      })),
  )
}

function nobody(name: string, fingerprint: string, groups: readonly string[]): Identity {
  return {
    name,
    method: 'publickey',
    fingerprint,
    source: '',
    groups,
    principals: [],
    restrictions: UNRESTRICTED,
  }
}
