/**
 * As whom inside. The super user is uid 0 whatever passwd calls it, and a passwd is the container's own claim: only a
 * list with "root" or "0" in it allows uid 0, no pattern does, nor the name of an alias. A number without an entry is
 * whoever the client likes to be, in the group of root: only a list with that number allows it.
 */
import { globMatches } from '../base/glob.ts'
import type { EnvInfo } from '../container/envinfo.ts'

export type InsideUser = Pick<EnvInfo, 'name' | 'uid' | 'gid' | 'known'>

export function userMatches(list: readonly string[] | undefined, user: InsideUser, effect: 'allow' | 'deny'): boolean {
  if (effect === 'allow' && (user.uid === 0 || !user.known))
    return list?.some((entry) => isExactly(entry, user)) ?? false
  if (!list) return true
  return list.some((entry) => isExactly(entry, user) || (!isNumber(entry) && globMatches(entry, user.name)))
}

function isExactly(entry: string, { uid }: InsideUser): boolean {
  return isNumber(entry) ? Number(entry) === uid : uid === 0 && entry === 'root'
}

function isNumber(entry: string): boolean {
  return /^\d+$/.test(entry)
}
