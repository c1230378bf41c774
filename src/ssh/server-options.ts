/** What an SSH server is made of, and each of its connections asks. */
import type { Approach } from './arrival.ts'
import type { Authenticator } from './auth.ts'
import type { ConnectionHandlers, SshConnection } from './connection.ts'
import type { HostKeyFile } from './hostkeys.ts'
import type { SshLimits } from './limits.ts'
import type { SshServerEvent } from './server-events.ts'

export interface SshServerOptions<Identity> {
  /** PEM or OpenSSH private keys, the order offered. */
  readonly hostKeys: readonly HostKeyFile[]
  /** Lines of OpenSSH host certificates (ssh-keygen -s -h) of these keys. */
  readonly hostCertificates?: readonly HostKeyFile[]
  /** Asked at every use: they may change while connections live. */
  readonly limits: () => SshLimits
  /** What stands before SSH on an accepted socket. */
  readonly approach?: Approach
  readonly ciphers: readonly string[]
  /** RLIMIT_NOFILE; the process's own where it is absent. */
  readonly descriptors?: number
  readonly authenticator: Authenticator<Identity>
  /** Called once per authenticated connection, before any of its requests is served. */
  readonly connection: (connection: SshConnection<Identity>) => ConnectionHandlers
  readonly observe: (event: SshServerEvent) => void
  /** Of all that is kept for one identity. */
  readonly maxBytesPerIdentity?: number
  /** Text for a user before the login (RFC 4252 §5.4), lines ended by a newline. */
  readonly banner?: string
}
