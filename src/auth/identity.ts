import type { CertificateFacts } from '../base/connection-facts.ts'
import type { AuthContext } from '../ssh/auth.ts'
import type { Restrictions } from './restrictions.ts'

/** The user of an authenticated connection. */
export interface Identity {
  /** For people: the configured user's name, else the key's comment, else its fingerprint. */
  readonly name: string
  /** The methods that proved it, in order, as AuthenticationMethods has them: "publickey,keyboard-interactive". */
  readonly method: string
  /** "SHA256:...", as ssh-keygen -l prints it; "" if no key was used. */
  readonly fingerprint: string
  /** The key or certificate; absent if only a password or code was used. */
  readonly credential?: Buffer
  /** Each key and certificate that proved it, to be checked again later; no passwords and codes. */
  readonly proofs?: readonly Proof[]
  /** Of a certificate that was accepted. */
  readonly certificate?: CertificateFacts
  /** What authorised it: "FILE:LINE", "ca FINGERPRINT", "user NAME". */
  readonly source: string
  /** The user's groups in the configuration; rules may ask for them. */
  readonly groups: readonly string[]
  /** Principals of the certificate that was accepted; empty for anything else. */
  readonly principals: readonly string[]
  readonly restrictions: Restrictions
}

/** One key or certificate: the identity that it gave by itself, and the login at which it did. */
export interface Proof {
  readonly identity: Identity
  readonly context: AuthContext
}
