/** One authenticated SSH connection as the rest of Hatchway sees it, and what it asks of us. */
import type { Duplex } from 'node:stream'
import type { End } from '../bytes/relay.ts'
import type { SshSession } from './session.ts'

export interface Endpoint {
  readonly address: string
  readonly port: number
}

/** What a connection brings along that came another way than straight to a port of ours. */
export interface Carried<Identity> {
  /** The host its client asked for by name (a jump, HTTP CONNECT, SOCKS): its user name is then that host's alone. */
  readonly host?: string
  /**
   * The identity proved on the connection that carries this one: its own login needs no other proof where `again` accepts
   * it.
   */
  readonly identity?: Identity
  /** GREETING has been sent to it. */
  readonly greeted?: boolean
}

/** Takes over a channel that a client opened. */
export type TakesChannel = (channel: Duplex) => void

/** What a client may ask for while a connection lives; each is put to `allow` before anything is done. */
export type SshAction =
  | { readonly kind: 'pty' }
  | { readonly kind: 'env'; readonly name: string }
  | { readonly kind: 'agent' }
  | { readonly kind: 'x11' }

/** Ports have 32 bits on the wire; a client may name one that there is not. */
export const MAX_PORT = 65_535

/** direct-tcpip RFC 4254 §7.2, direct-streamlocal@openssh.com PROTOCOL §2.4. */
export type DirectTarget =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly originator: Endpoint }
  | { readonly kind: 'unix'; readonly path: string }

/** tcpip-forward RFC 4254 §7.1, streamlocal-forward@openssh.com. Port 0: any. */
export type ForwardBind =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

/** Why a channel was not opened: RFC 4254 §5.1 reason code and a sentence. */
export interface OpenFailure {
  readonly reason: 'prohibited' | 'connect-failed' | 'unknown-type' | 'resource-shortage'
  readonly message: string
}

/** What the application does for a connection. A missing member refuses. */
export interface ConnectionHandlers {
  allow(action: SshAction): boolean | Promise<boolean>
  session(session: SshSession): void
  /** Resolves with the end to join to the channel, with the taker of the channel, or with the reason for a refusal. */
  direct?(target: DirectTarget, signal: AbortSignal): Promise<End | TakesChannel | OpenFailure>
  /** Resolve with the bound port (0 for unix), or undefined: REQUEST_FAILURE. */
  forward?(bind: ForwardBind): Promise<number | undefined>
  cancelForward?(bind: ForwardBind): Promise<boolean>
}

export interface SshConnection<Identity> {
  /** No other process repeats it; for logs. */
  readonly id: string
  readonly identity: Identity
  /** The SSH user name as the client sent it: "dev@web". */
  readonly user: string
  /** Carried.host */
  readonly host?: string
  readonly remote: Endpoint
  readonly local: Endpoint
  /** Without "SSH-2.0-". */
  readonly clientVersion: string
  /** Aborts when the connection is gone. */
  readonly closed: AbortSignal
  /** Channels towards the client, for what came to us from inside the container. */
  openForwarded(bind: ForwardBind, originator: Endpoint): Promise<End>
  openAgent(): Promise<End>
  openX11(originator: Endpoint): Promise<End>
  /** RFC 4253 §11.1 disconnect (reason 11 BY_APPLICATION unless said) with a sentence, then close. Idempotent. */
  disconnect(message: string, reason?: 'too-many-connections'): void
  /** It will be disconnected with this sentence: that is why it ended, also if its client is faster. */
  leaving(message: string): void
}
