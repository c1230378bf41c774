/** Authentication as the application decides it; the mechanics (RFC 4252) are the server's. */
import type { Endpoint } from './connection.ts'

export interface AuthContext {
  /** Same id as the later connection's. */
  readonly connectionId: string
  readonly user: string
  readonly remote: Endpoint
  readonly local: Endpoint
  /** Aborts with the connection or the grace time. */
  readonly signal: AbortSignal
}

/** A public key the client offers. `algorithm` is a plain key or certificate algorithm, `blob` as on the wire (RFC 4253 §6.6). */
export interface OfferedKey {
  readonly algorithm: string
  readonly blob: Buffer
}

/**
 * Decides on a key. Called for the query and again for the signed request: must be free of side effects. The server
 * verifies the signature after a yes; plain keys need no help. undefined: refuse, and the client may try its next key.
 */
export interface Authenticator<Identity> {
  publicKey(key: OfferedKey, context: AuthContext): Promise<Identity | undefined>
  /**
   * Asked once the client has proved who it is: may it log in under this user name at all? A sentence refuses, as sshd
   * refuses a user it does not know; it is sent as a banner (RFC 4252 §5.4), and nobody unproven ever reads it.
   */
  admit?(identity: Identity, context: AuthContext): Promise<string | undefined>
}
