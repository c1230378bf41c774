/** The SSH server: own net.Server with sshd's limits, ssh2 behind it. (Contract; the implementation replaces this.) */
import type { AuthContext, Authenticator } from './auth.ts'
import type { ConnectionHandlers, Endpoint, SshConnection } from './connection.ts'

/** sshd_config(5) names and defaults. */
export interface SshLimits {
  /** 6 */
  readonly maxAuthTries: number
  /** Milliseconds, 120 s; 0: none. */
  readonly loginGraceTime: number
  /** start:rate:full, 10:30:100, of connections not yet authenticated. */
  readonly maxStartups: { readonly start: number; readonly rate: number; readonly full: number }
  /** 10 per connection. */
  readonly maxSessions: number
  /** Milliseconds between keepalives to the client, 0: none (ClientAliveInterval). */
  readonly clientAliveInterval: number
  /** 3 */
  readonly clientAliveCountMax: number
  /** Rekey after that many bytes in one direction (1 GiB) or milliseconds (1 h); 0: never by that. */
  readonly rekeyLimit: { readonly bytes: number; readonly milliseconds: number }
}

/** Told as facts happen; the listener logs and counts. No secrets in them. */
export type SshServerEvent =
  | { readonly type: 'connect'; readonly connectionId: string; readonly remote: Endpoint }
  | { readonly type: 'drop'; readonly remote: Endpoint; readonly reason: 'max-startups' }
  | {
      readonly type: 'auth'
      readonly context: AuthContext
      readonly method: string
      readonly fingerprint?: string
      readonly accepted: boolean
    }
  | {
      readonly type: 'disconnect'
      readonly connectionId: string
      readonly authenticated: boolean
      readonly reason: string
    }

export interface SshServerOptions<Identity> {
  /** PEM or OpenSSH private keys, the order offered. */
  readonly hostKeys: readonly Buffer[]
  readonly limits: SshLimits
  readonly ciphers: readonly string[]
  readonly authenticator: Authenticator<Identity>
  /** Called once per authenticated connection, before any of its requests is served. */
  readonly connection: (connection: SshConnection<Identity>) => ConnectionHandlers
  readonly observe: (event: SshServerEvent) => void
}
