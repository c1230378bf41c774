import type { AuthContext } from '../ssh/auth.ts'
import type { Restrictions } from './restrictions.ts'

/** Who a connection is, once authenticated. */
export interface Identity {
  /** For people: the configured user's name, else the key's comment, else its fingerprint. */
  readonly name: string
  /** How it was proved, in order, as AuthenticationMethods spells it: "publickey", "publickey,keyboard-interactive". */
  readonly method: string
  /** "SHA256:...", as ssh-keygen -l prints it; "" where no key was used. */
  readonly fingerprint: string
  readonly keyComment: string
  /** The key or certificate itself, of an identity that is one's. */
  readonly credential?: Buffer
  /** Each key and certificate that proved it, to be asked about again; a password or code is none. */
  readonly proofs?: readonly Proof[]
  /** Where it is authorised: "FILE:LINE", "ca FINGERPRINT", "user NAME". */
  readonly source: string
  /** Of the configuration or of who authenticated it; names that rules may ask for. */
  readonly groups: readonly string[]
  /** Principals of the certificate that was accepted; empty for anything else. */
  readonly principals: readonly string[]
  readonly restrictions: Restrictions
}

/** One key or certificate: whom it made of its holder by itself, at which login. */
export interface Proof {
  readonly identity: Identity
  readonly context: AuthContext
}
