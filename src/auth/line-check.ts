/** Checks the time and address that a line of authorized_keys demands (auth2-pubkeyfile.c, auth_authorise_keyopts). */
import { matchesAddressList } from '../net/address-list.ts'
import type { KeyOptions } from './key-options.ts'

/** Returns a sentence for the log if the line does not apply, else undefined. */
export function whyNot({ from, restrictions }: KeyOptions, address: string): string | undefined {
  if (restrictions.expiresAt !== undefined && restrictions.expiresAt < Date.now()) return 'its expiry-time is over'
  if (from !== undefined && !matchesAddressList(address, from)) return `${address} is not in its from=`
  return undefined
}
