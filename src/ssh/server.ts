/** The SSH server: listeners, sshd's limits on new connections, and one serveConnection() for each. */
import { createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createOffer } from './algorithms.ts'
import type { AuthContext, Authenticator } from './auth.ts'
import type { ConnectionHandlers, Endpoint, SshConnection } from './connection.ts'
import { loadHostKeys } from './hostkeys.ts'
import { shouldDrop } from './limits.ts'
import { type ServerConnection, serveConnection } from './server-connection.ts'

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
      /** "keyboard-interactive:totp" where a device was used. */
      readonly method: string
      readonly fingerprint?: string
      /** Whom the methods so far have proved. */
      readonly identity?: string
      readonly accepted: boolean
      /** Right, and more is asked for. */
      readonly partial: boolean
    }
  | {
      readonly type: 'disconnect'
      readonly connectionId: string
      readonly authenticated: boolean
      readonly reason: string
    }
  /** A handler of ours threw; the client was told nothing of it. */
  | { readonly type: 'fault'; readonly connectionId: string; readonly error: unknown }

export interface SshServerOptions<Identity> {
  /** PEM or OpenSSH private keys, the order offered. */
  readonly hostKeys: readonly Buffer[]
  /** Lines of OpenSSH host certificates (ssh-keygen -s -h) of these keys. */
  readonly hostCertificates?: readonly Buffer[]
  readonly limits: SshLimits
  readonly ciphers: readonly string[]
  readonly authenticator: Authenticator<Identity>
  /** Called once per authenticated connection, before any of its requests is served. */
  readonly connection: (connection: SshConnection<Identity>) => ConnectionHandlers
  readonly observe: (event: SshServerEvent) => void
  /** Text for a user before the login (RFC 4252 §5.4), lines ended by a newline; asked once per connection. */
  readonly banner?: string | ((context: AuthContext) => string | undefined)
}

export interface SshServer {
  /** May be called several times. Rejects with the error of the bind. */
  listen(host: string, port: number): Promise<Endpoint>
  /** Serve one connection over any byte stream: stdin and stdout, a forwarded channel. */
  inject(stream: Duplex, remote: Endpoint, local: Endpoint): void
  /** Connections alive now, also those not yet authenticated. */
  connections(): number
  /** Stop listening; what is connected stays. Idempotent. */
  close(): Promise<void>
  disconnectAll(message: string): void
}

/** Throws on host keys or ciphers that cannot be used. */
export function createSshServer<Identity>(options: SshServerOptions<Identity>): SshServer {
  const hostKeys = loadHostKeys(options.hostKeys, options.hostCertificates)
  const offer = createOffer(hostKeys, options.ciphers)
  const server = { ...options, observe: guarded(options.observe) }
  const listeners = new Set<Server>()
  const connections = new Set<ServerConnection>()
  let startups = 0

  function inject(stream: Duplex, remote: Endpoint, local: Endpoint): void {
    if (stream.destroyed) return
    if (shouldDrop(startups, options.limits.maxStartups)) {
      server.observe({ type: 'drop', remote, reason: 'max-startups' })
      stream.on('error', () => {})
      // sshd.c; a client shows it.
      stream.end('Exceeded MaxStartups\r\n', () => stream.destroy())
      return
    }
    const id = nextConnectionId()
    let starting = true
    const started = () => {
      if (starting) startups--
      starting = false
    }
    startups++
    server.observe({ type: 'connect', connectionId: id, remote })
    const connection = serveConnection({
      id,
      stream,
      remote,
      local,
      hostKeys,
      offer,
      server,
      authenticated: started,
      ended: () => {
        started()
        connections.delete(connection)
      },
    })
    connections.add(connection)
  }

  function accept(socket: Socket): void {
    const { remoteAddress, remotePort, localAddress, localPort } = socket
    // Gone between the handshake and our accept.
    if (remoteAddress === undefined || localAddress === undefined) return void socket.destroy()
    inject(socket, { address: remoteAddress, port: remotePort ?? 0 }, { address: localAddress, port: localPort ?? 0 })
  }

  return {
    listen: (host, port) =>
      new Promise((resolve, reject) => {
        const listener = createServer({ noDelay: true }, accept)
        listener.once('error', reject)
        listener.listen(port, host, () => {
          listener.off('error', reject)
          // accept(2) fails when descriptors run out: the next one may work.
          listener.on('error', () => {})
          listeners.add(listener)
          const address = listener.address()
          if (address === null || typeof address === 'string') return reject(new Error('not a TCP address'))
          resolve({ address: address.address, port: address.port })
        })
      }),
    inject,
    connections: () => connections.size,
    close: async () => {
      // Not the callback of close(): it waits for the connections.
      for (const listener of listeners) listener.close()
      listeners.clear()
    },
    disconnectAll: (message) => {
      for (const connection of connections) connection.disconnect(message)
    },
  }
}

let connectionCount = 0

function nextConnectionId(): string {
  connectionCount++
  return `c${connectionCount.toString(36)}`
}

/** A listener that throws must not end a connection, or the process. */
function guarded(observe: (event: SshServerEvent) => void): (event: SshServerEvent) => void {
  return (event) => {
    try {
      observe(event)
    } catch {}
  }
}
