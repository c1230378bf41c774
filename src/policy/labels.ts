/**
 * What a container's own labels say of who may enter it. They only narrow: whoever makes a container, or its image, can
 * keep people out of it and let nobody in.
 *
 *     hatchway.allow=alice, @dev, SHA256:...    who: names, groups after "@", key fingerprints; patterns
 *     hatchway.users=dev, app                   as whom, as in a rule: root only where it is named
 *     hatchway.owner=...                        what was made from a template is its owner's alone
 */
import type { Identity } from '../auth/identity.ts'
import { globMatches } from '../base/glob.ts'
import { OWNER_LABEL, ownerOf } from './owner.ts'
import { type InsideUser, userMatches } from './users.ts'

const ALLOW_LABEL = 'hatchway.allow'
const USERS_LABEL = 'hatchway.users'

/** A label is its maker's text, as long as they like. */
const MAX_ENTRIES = 1000

/** The label that keeps them out; undefined: none does. */
export function refusingLabel(
  labels: Readonly<Record<string, string>>,
  identity: Pick<Identity, 'name' | 'groups' | 'fingerprint' | 'source'>,
  user: InsideUser | undefined,
): typeof ALLOW_LABEL | typeof USERS_LABEL | typeof OWNER_LABEL | undefined {
  if (Object.hasOwn(labels, OWNER_LABEL) && labels[OWNER_LABEL] !== ownerOf(identity)) return OWNER_LABEL
  const who = entries(labels, ALLOW_LABEL)
  if (who && !who.some((entry) => isMeant(entry, identity))) return ALLOW_LABEL
  const users = entries(labels, USERS_LABEL)
  if (users && user && !userMatches(users, user, 'allow')) return USERS_LABEL
  return undefined
}

/** An empty label names nobody. */
function entries(labels: Readonly<Record<string, string>>, key: string): string[] | undefined {
  if (!Object.hasOwn(labels, key)) return undefined
  return (labels[key] ?? '').split(/[\s,]+/, MAX_ENTRIES).filter((entry) => entry !== '')
}

function isMeant(
  entry: string,
  { name, groups, fingerprint }: Pick<Identity, 'name' | 'groups' | 'fingerprint'>,
): boolean {
  if (entry.startsWith('@')) return groups.some((group) => globMatches(entry.slice(1), group))
  if (entry.startsWith('SHA256:')) return entry === fingerprint
  return globMatches(entry, name)
}
