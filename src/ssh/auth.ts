/** Authentication as the application decides it; the mechanics (RFC 4252) are the server's. */
import type { ProvedName } from '../base/connection-facts.ts'
import type { MethodList } from './auth-methods.ts'
import type { Endpoint } from './connection.ts'
import type { FidoSignature } from './public-key.ts'

export interface AuthContext {
  /** Same id as the later connection's. */
  readonly connectionId: string
  readonly user: string
  /** Carried.host: what the connection is to, when its client named it before the login. */
  readonly host?: string
  readonly remote: Endpoint
  readonly local: Endpoint
  /** Keys that the client has asked about before, in vain. */
  readonly keysRefused?: number
  /** Takes why what is asked about is refused, for events; the client is told nothing of it. */
  readonly refused?: (reason: string) => void
  /** Aborts with the connection or the grace time. */
  readonly signal: AbortSignal
}

/**
 * A public key the client offers. `algorithm` is a plain key or certificate algorithm, `blob` as on the wire (RFC 4253
 * §6.6).
 */
export interface OfferedKey {
  readonly algorithm: string
  readonly blob: Buffer
}

/** One round of keyboard-interactive, RFC 4256 §3.2. */
export interface Questions {
  readonly instruction?: string
  readonly prompts: readonly { readonly text: string; readonly echo: boolean }[]
}

/**
 * Yields questions, is given as many answers, returns the identity that they prove. Ended early when the client turns
 * elsewhere.
 */
export type Dialogue<Identity> = AsyncGenerator<Questions, Identity | undefined, readonly Buffer[]>

/** Whether a login by this name is let in: refused with a sentence, or where it leads, if that is known. */
export type Admittance = { readonly refusal: string } | { readonly refusal?: undefined; readonly leadsTo?: string }

/**
 * Decides each method. Undefined refuses, and the client may try again. A missing member is a method not served.
 * `proven` is the identity that earlier methods of a chain have proved, undefined for the first method. The server puts
 * what a method proves to `join`; a method need not do so.
 */
export interface Authenticator<Identity> {
  /**
   * Called for the query and again for the signed request: must be free of side effects. The server verifies the
   * signature after a yes; plain keys need no help.
   */
  publicKey(key: OfferedKey, context: AuthContext): Promise<Identity | undefined>
  /** A FIDO key has signed: does it show enough? Absent: it must have been touched. */
  fido?(identity: Identity, shown: FidoSignature, context: AuthContext): boolean
  /** Must take as long for a user that does not exist. */
  password?(password: Buffer, context: AuthContext, proven: Identity | undefined): Promise<Identity | undefined>
  /**
   * `device` is what AuthenticationMethods has behind the colon, "" without. Must ask for a user that does not exist, too.
   */
  keyboardInteractive?(device: string, context: AuthContext, proven: Identity | undefined): Dialogue<Identity>
  /**
   * AuthenticationMethods: of this identity, or, before one is proved, of anybody, so that the answer tells nothing.
   * Absent: ["publickey"].
   */
  methods?(proven: Identity | undefined): readonly MethodList[]
  /** Two methods of a chain, one identity; undefined when they prove different people. Absent: chains are refused. */
  join?(proven: Identity, next: Identity): Identity | undefined
  /**
   * An identity that was proved on another connection logs in here, with no proof but that one. Resolves with the identity
   * at this login. Undefined, or absent: none, and the client may prove itself anew.
   */
  again?(identity: Identity, context: AuthContext): Promise<Identity | undefined>
  /** For events. */
  proved?(identity: Identity): ProvedName
  /**
   * Asked once the client has proved its identity: may it log in under this user name at all? A sentence refuses, as sshd
   * refuses a user it does not know; it is sent as a banner (RFC 4252 §5.4), and a client that has proved nothing never
   * reads it.
   */
  admit?(identity: Identity, context: AuthContext): Promise<Admittance>
}
