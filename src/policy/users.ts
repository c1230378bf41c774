/**
 * As whom inside. The super user is uid 0 whatever passwd calls it, and a passwd is the container's own claim: only a
 * list with "root" or "0" in it allows uid 0, no pattern does, nor the name of an alias.
 */
import { globMatches } from '../glob.ts'

export interface InsideUser {
  readonly name: string
  readonly uid: number
}

export function userMatches(list: readonly string[] | undefined, user: InsideUser, effect: 'allow' | 'deny'): boolean {
  const root = user.uid === 0
  if (!list) return effect === 'deny' || !root
  if (root && (list.includes('root') || list.includes('0'))) return true
  if (root && effect === 'allow') return false
  return list.some((entry) => (/^\d+$/.test(entry) ? Number(entry) === user.uid : globMatches(entry, user.name)))
}
