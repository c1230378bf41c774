/** TOKENS of sshd_config(5) for one login: of its name and connection, its key, its certificate. */
import type { AuthContext } from '../ssh/auth.ts'
import { fingerprint } from '../ssh/public-key.ts'
import type { Certificate } from './certificate.ts'
import { typeOf } from './openssh-key.ts'
import { safeName, type Tokens } from './tokens.ts'

/** Reads what a client asks for: by its login name, and by the host if it named one before the login. */
export type ReadLogin = (asked: Pick<AuthContext, 'user' | 'host'>) => {
  /** The login name without the claimed person: "dev@web", in whichever form the client asked. */
  readonly address: string
  /** The user inside. */
  readonly user?: string
}

/** %u the requested user inside, %n the whole login name (USER@HOST if a host was named first), %C the connection. */
const LOGIN_TOKENS = 'unC'
/** %f %k %t: the offered key. */
export const KEY_TOKENS = `${LOGIN_TOKENS}fkt`
/** %i key id, %s serial, %F %K %T the authority's key; %f %k %t the certificate's. */
export const CERTIFICATE_TOKENS = `${KEY_TOKENS}isFKT`

export function loginTokens(context: AuthContext, readLogin: ReadLogin): Tokens {
  const { remote, local } = context
  const asked = readLogin(context)
  return {
    u: safeName(asked.user ?? ''),
    n: safeName(context.host === undefined ? context.user : asked.address),
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
    // Needs no safeName(): a trusted authority wrote it, and it is an argument, not part of a path.
    i: keyId,
    s: String(serial),
    F: fingerprint(authority),
    K: authority.toString('base64'),
    T: typeOf(authority),
  }
}
