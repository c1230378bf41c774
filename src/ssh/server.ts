/** The SSH server: one serveConnection() for each that its reception lets in, or that is injected. */
import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { deferred } from '../lifetime/deferred.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import type { AdmissionPlace } from './admission.ts'
import { createOffer } from './algorithms.ts'
import type { Arrival } from './arrival.ts'
import { Budgets } from './budget.ts'
import type { Carried, Endpoint } from './connection.ts'
import { ExchangeShares } from './exchange-share.ts'
import { parseHostKeys } from './hostkeys.ts'
import { LoginExchanges } from './login-exchanges.ts'
import { openReception, type Reception } from './reception.ts'
import { type ServerConnection, serveConnection } from './server-connection.ts'
import type { SshServerEvent } from './server-events.ts'
import type { SshServerOptions } from './server-options.ts'

/** Of a thousand million connections two have the same id with 3 %. */
const CONNECTION_ID_BYTES = 8

export interface SshServer<Identity> extends Pick<Reception, 'listen' | 'adopt' | 'descriptors'> {
  /** Serve one connection over any byte stream: stdin and stdout, a forwarded channel. Resolves at its end: it had logged in. */
  inject(stream: Duplex, remote: Endpoint, local: Endpoint, carried?: Carried<Identity>): Promise<boolean>
  /** Connections alive now, also those not yet authenticated. */
  connections(): number
  /** Key exchanges before a login that wait for their turn. */
  exchangesWaiting(): number
  /** Resolves with true once there is none any more, with false when the signal aborts before. */
  idle(signal: AbortSignal): Promise<boolean>
  /** Stop listening; what is connected stays. Idempotent. */
  close(): Promise<void>
  disconnectAll(message: string): void
}

/** @throws HatchwayError CONFIG_INVALID on host keys that cannot be used, Error on such ciphers */
export function createSshServer<Identity>(options: SshServerOptions<Identity>): SshServer<Identity> {
  const hostKeys = parseHostKeys(options.hostKeys, options.hostCertificates)
  const offer = createOffer(hostKeys, options.ciphers)
  const server = { ...options, observe: guarded(options.observe) }
  const exchanges = new LoginExchanges()
  const exchangeShares = new ExchangeShares()
  const connections = new Set<ServerConnection>()
  const whenIdle = new Set<() => void>()
  const budgets = new Budgets(options.maxBytesPerIdentity)
  const hosted = ({ host }: Arrival) => (host === undefined ? {} : { host })
  const reception = openReception(server, (arrival, place) => serve(arrival, place, hosted(arrival)), tellIdle)
  const isIdle = () => connections.size + reception.approaching === 0

  function tellIdle(): void {
    if (isIdle()) for (const idle of [...whenIdle]) idle()
  }

  function inject(
    stream: Duplex,
    remote: Endpoint,
    local: Endpoint,
    carried: Carried<Identity> = {},
  ): Promise<boolean> {
    const over = deferred<boolean>()
    const place = reception.admit({ stream, remote, local }, carried.greeted)
    if (place) serve({ stream, remote, local }, place, carried, over.resolve)
    else over.resolve(false)
    return over.promise
  }

  function serve(
    { stream, remote, local }: Arrival,
    place: AdmissionPlace,
    carried: Carried<Identity>,
    over?: (loggedIn: boolean) => void,
  ): void {
    // Random, not counted: logs of several processes, and of one after the other, are read together.
    const id = randomBytes(CONNECTION_ID_BYTES).toString('hex')
    server.observe({ type: 'connect', connectionId: id, remote })
    const connection = serveConnection({
      id,
      stream,
      remote,
      local,
      carried,
      hostKeys,
      offer,
      exchanges,
      exchangeShares,
      server,
      budgets,
      place,
      ended: (loggedIn) => {
        connections.delete(connection)
        over?.(loggedIn)
        tellIdle()
      },
    })
    connections.add(connection)
    // An approach may have left it paused.
    stream.resume()
  }

  return {
    listen: reception.listen,
    adopt: reception.adopt,
    descriptors: reception.descriptors,
    inject,
    connections: () => connections.size,
    exchangesWaiting: () => exchanges.waiting,
    idle(signal) {
      if (isIdle()) return Promise.resolve(true)
      const { promise, resolve } = deferred<boolean>()
      const idle = () => resolve(true)
      whenIdle.add(idle)
      const remove = onAbort(signal, () => resolve(false))
      return promise.finally(() => {
        whenIdle.delete(idle)
        remove()
      })
    },
    close: async () => reception.close(),
    disconnectAll: (message) => {
      for (const connection of connections) connection.disconnect(message)
    },
  }
}

/** A listener that throws must not end a connection, or the process. */
function guarded(observe: (event: SshServerEvent) => void): (event: SshServerEvent) => void {
  return (event) => {
    try {
      observe(event)
    } catch {}
  }
}
