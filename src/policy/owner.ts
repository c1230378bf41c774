/** Whom a container is made for. */
import { createHash } from 'node:crypto'
import type { Identity } from '../auth/identity.ts'
import { LABELS, type Owner } from '../container/templates/template.ts'

export const OWNER_LABEL = LABELS.owner

/**
 * One person, as surely as the gateway knows: a user of the configuration whatever their key; a key id of an authority,
 * whose keys change; else the very key. Never a key's comment, which two people may share.
 */
export function ownerOf({ source, fingerprint, name }: Pick<Identity, 'source' | 'fingerprint' | 'name'>): string {
  const who = source.startsWith('user ')
    ? source
    : source.startsWith('ca ') || fingerprint === ''
      ? `${source}\0${name}`
      : fingerprint
  return createHash('sha256').update(who).digest('hex').slice(0, 32)
}

/** For whom a container is made from a template: nothing is decided by the name. */
export function templateOwner(identity: Pick<Identity, 'source' | 'fingerprint' | 'name'>): Owner {
  return { id: ownerOf(identity), name: identity.name }
}
