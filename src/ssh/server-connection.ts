/** One client from its first byte to its last: grace time, authentication, then the connection layer and keepalive. */
import type { Duplex } from 'node:stream'
import { clientText } from '../base/printable.ts'
import type { AdmissionPlace } from './admission.ts'
import type { AuthContext } from './auth.ts'
import type { Budgets } from './budget.ts'
import type { Carried, Endpoint, SshConnection } from './connection.ts'
import { ConnectionLayer } from './connection-layer.ts'
import type { ExchangeShares } from './exchange-share.ts'
import { announceHostKeys, type HostKeys } from './hostkeys.ts'
import type { LoginExchanges } from './login-exchanges.ts'
import { DisconnectReason, fields, isBug, Message, packet } from './packets.ts'
import type { Misdeed } from './penalties.ts'
import type { AboutConnection } from './server-events.ts'
import type { SshServerOptions } from './server-options.ts'
import { Transport } from './transport.ts'
import { UserAuth } from './userauth.ts'

/** One for all, as in session-channel.ts. */
export const CONNECTION_GONE = new Error('the connection is gone')
const NOBODY = { name: '', fingerprint: '' } as const
const KEEPALIVE = packet(Message.GLOBAL_REQUEST, 'keepalive@openssh.com', true)

export interface ServerConnectionOptions<Identity> {
  readonly id: string
  readonly stream: Duplex
  readonly remote: Endpoint
  readonly local: Endpoint
  readonly carried: Carried<Identity>
  readonly hostKeys: HostKeys
  readonly offer: object
  readonly exchanges: LoginExchanges
  readonly exchangeShares: ExchangeShares
  readonly server: SshServerOptions<Identity>
  readonly budgets: Budgets
  /** Among those that have not logged in. */
  readonly place: AdmissionPlace
  readonly ended: (loggedIn: boolean) => void
}

export interface ServerConnection {
  disconnect(message: string): void
}

export function serveConnection<Identity>(options: ServerConnectionOptions<Identity>): ServerConnection {
  const { id, remote, local, server, place } = options
  const { observe } = server
  const limits = server.limits()
  const host = options.carried.host === undefined ? {} : { host: options.carried.host }
  const abort = new AbortController()
  const grace = startGrace()
  let keepalive: NodeJS.Timeout | undefined
  let end: 'ours' | 'grace-exceeded' | 'crash' | undefined
  let layer: ConnectionLayer | undefined
  let leaveBudget: (() => void) | undefined
  const since = performance.now()
  let about: AboutConnection = { connectionId: id, remote }

  const transport = new Transport({
    stream: options.stream,
    hostKeys: options.hostKeys,
    offer: options.offer,
    rekeyLimit: limits.rekeyLimit,
    exchanges: options.exchanges,
    greeted: options.carried.greeted === true,
    packet: (type, payload) => (layer ?? auth).packet(type, payload),
    fault,
    closed: (reason) => {
      clearTimeout(grace)
      clearInterval(keepalive)
      abort.abort(CONNECTION_GONE)
      auth.end()
      layer?.end()
      leaveBudget?.()
      place.left(misdeed())
      const durationMs = Math.round(performance.now() - since)
      const { keysRefused } = auth
      observe({ type: 'disconnect', ...about, authenticated: layer !== undefined, reason, keysRefused, durationMs })
      options.ended(layer !== undefined)
    },
  })

  const auth = new UserAuth<Identity>({
    transport,
    authenticator: server.authenticator,
    carried: options.carried.identity,
    maxAuthTries: limits.maxAuthTries,
    banner: server.banner,
    context: (user): AuthContext => ({ connectionId: id, user, ...host, remote, local, signal: abort.signal }),
    decided: (context, { result, ...facts }) =>
      observe({
        type: 'auth',
        context: { ...context, user: clientText(context.user) },
        ...facts,
        accepted: result === 'accepted',
        partial: result === 'partial',
        durationMs: performance.now() - since,
      }),
    fault,
    succeeded,
  })

  function succeeded(identity: Identity, user: string): void {
    clearTimeout(grace)
    place.loggedIn()
    const who = server.authenticator.proved?.(identity) ?? NOBODY
    const { name } = who
    about = { ...about, who }
    transport.charge(options.exchangeShares.of(name))
    const { budget, leave } = options.budgets.enter(name)
    leaveBudget = leave
    layer = new ConnectionLayer(
      {
        ...{ transport, hostKeys: options.hostKeys, fault, budget },
        ...{ maxSessions: limits.maxSessions, channelTimeout: limits.channelTimeout },
        unusedConnectionTimeout: limits.unusedConnectionTimeout,
        expired: (channel, milliseconds) => observe({ type: 'channel-timeout', ...about, channel, milliseconds }),
      },
      abort.signal,
    )
    transport.send(announceHostKeys(options.hostKeys))
    keepalive = startKeepalive()
    try {
      layer.use(server.connection(describe(layer, identity, user)))
    } catch (error) {
      fault(error)
      transport.disconnect(DisconnectReason.BY_APPLICATION, 'internal error')
    }
  }

  function describe(layer: ConnectionLayer, identity: Identity, user: string): SshConnection<Identity> {
    return {
      id,
      identity,
      user,
      ...host,
      remote,
      local,
      clientVersion: transport.clientVersion,
      closed: abort.signal,
      openForwarded: (bind, from) =>
        bind.kind === 'tcp'
          ? layer.open('forwarded-tcpip', fields(bind.host, bind.port, from.address, from.port))
          : layer.open('forwarded-streamlocal@openssh.com', fields(bind.path, '')),
      openAgent: () => layer.open('auth-agent@openssh.com', Buffer.alloc(0)),
      openX11: (from) => layer.open('x11', fields(from.address, from.port)),
      disconnect,
      leaving: (message) => transport.leaving(message),
    }
  }

  /** sshd's ClientAliveInterval: only silence is asked about; any packet is an answer. */
  function startKeepalive(): NodeJS.Timeout | undefined {
    const { clientAliveInterval, clientAliveCountMax } = limits
    if (clientAliveInterval === 0) return undefined
    let asked = 0
    let seen = transport.lastPacket
    // biome-ignore lint/plugin: a plain tick, which never waits
    const timer = setInterval(() => {
      if (transport.lastPacket !== seen) asked = 0
      seen = transport.lastPacket
      // sshd_config(5): with a count of 0 nobody is ended.
      if (clientAliveCountMax > 0 && asked >= clientAliveCountMax) return transport.destroy('client does not answer')
      asked++
      transport.send(KEEPALIVE)
    }, clientAliveInterval)
    timer.unref()
    return timer
  }

  /** What came before SSH has used some of it. */
  function startGrace(): NodeJS.Timeout | undefined {
    if (limits.loginGraceTime === 0) return undefined
    const timeOut = () => {
      end ??= 'grace-exceeded'
      transport.destroy('login grace time exceeded')
    }
    return setTimeout(timeOut, Math.max(0, place.since + limits.loginGraceTime - Date.now())).unref()
  }

  /** As sshd's child tells it by its exit status (sshd.c child_reap); after a login nobody asks. */
  function misdeed(): Misdeed | undefined {
    if (end === 'ours') return undefined
    // No stranger: a client that connects again (autossh) while its container is being replaced shall not be kept out.
    if (end === undefined && auth.turnedAway) return undefined
    return end ?? (auth.attempted ? 'authfail' : 'noauth')
  }

  function fault(error: unknown): void {
    // Where a file or a service of ours failed, that is no client's doing.
    end ??= isBug(error) ? 'crash' : 'ours'
    observe({ type: 'fault', ...about, error })
  }

  function disconnect(message: string, reason?: 'too-many-connections'): void {
    end ??= 'ours'
    transport.disconnect(reason ? DisconnectReason.TOO_MANY_CONNECTIONS : DisconnectReason.BY_APPLICATION, message)
  }

  return { disconnect }
}
