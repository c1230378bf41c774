/** TOKENS of sshd_config(5) for one login: of its name and connection, its key, its certificate. */
import type { AuthContext } from '../ssh/auth.ts'
import { fingerprint } from '../ssh/public-key.ts'
import type { Certificate } from './certificate.ts'
import { typeOf } from './openssh-key.ts'
import { safeName, type Tokens } from './tokens.ts'

/** What a login name asks for: `address` is all of it but for who says so, `user` the user inside. */
export type ReadLogin = (sshUser: string) => { readonly address: string; readonly user?: string }

/** %u the user inside asked for, %n the whole login name, %C the connection. */
const LOGIN_TOKENS = 'unC'
/** %f %k %t: the key that is offered. */
export const KEY_TOKENS = `${LOGIN_TOKENS}fkt`
/** %i key id, %s serial, %F %K %T the authority's key; %f %k %t the certificate's. */
export const CERTIFICATE_TOKENS = `${KEY_TOKENS}isFKT`

export function loginTokens({ user, remote, local }: AuthContext, readLogin: ReadLogin): Tokens {
  return {
    u: safeName(readLogin(user).user ?? ''),
    n: safeName(user),
    C: `${remote.address} ${remote.port} ${local.address} ${local.port}`,
  }
}

/** `blob` as the client offered it, a certificate or a plain key. */
export function keyTokens(blob: Buffer, print: string): Tokens {
  return { f: print, k: blob.toString('base64'), t: typeOf(blob) }
}

export function certificateTokens({ blob, fingerprint: print, keyId, serial, authority }: Certificate): Tokens {
  return {
    ...keyTokens(blob, print),
    // What an authority wrote is an authority's; it is an argument, not a name in a path.
    i: keyId,
    s: String(serial),
    F: fingerprint(authority),
    K: authority.toString('base64'),
    T: typeOf(authority),
  }
}
