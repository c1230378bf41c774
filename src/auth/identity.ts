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
  /** The key or certificate itself, which may yet be revoked. */
  readonly credential?: Buffer
  /** Where it is authorised: "FILE:LINE", "ca FINGERPRINT", "user NAME". */
  readonly source: string
  /** Of the configuration or of who authenticated it; names that rules may ask for. */
  readonly groups: readonly string[]
  /** Principals of the certificate that was accepted; empty for anything else. */
  readonly principals: readonly string[]
  readonly restrictions: Restrictions
}
