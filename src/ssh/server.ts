/** The SSH server: listeners, sshd's limits on new connections, and one serveConnection() for each. */
import { randomBytes } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { messageOf } from '../base/errors.ts'
import { clientText } from '../base/printable.ts'
import { deferred } from '../lifetime/deferred.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import { plainAddress } from '../net/address.ts'
import { Admission, type AdmissionPlace, type Drop } from './admission.ts'
import { createOffer } from './algorithms.ts'
import { type Approach, type Arrival, ArrivalError } from './arrival.ts'
import { Budgets } from './budget.ts'
import type { Carried, Endpoint } from './connection.ts'
import { descriptorOf, shortageOf } from './descriptors.ts'
import { ExchangeShares } from './exchange-share.ts'
import { parseHostKeys } from './hostkeys.ts'
import { createLastWords } from './last-words.ts'
import { LoginExchanges } from './login-exchanges.ts'
import type { Misdeed } from './penalties.ts'
import { CONNECTION_GONE, type ServerConnection, serveConnection } from './server-connection.ts'
import type { SshServerEvent } from './server-events.ts'
import type { SshServerOptions } from './server-options.ts'

/** For a refusal to reach a client that reads slowly. */
const REFUSAL_MS = 2_000
/** Of a thousand million connections two have the same id with 3 %. */
const CONNECTION_ID_BYTES = 8
/** setTimeout() takes no more. */
const MAX_TIME_MS = 2 ** 31 - 1

export interface SshServer<Identity> {
  /** May be called several times. Rejects with the error of the bind. */
  listen(host: string, port: number): Promise<Endpoint>
  /** The same on a socket that listens already, by its descriptor. */
  adopt(descriptor: number): Promise<Endpoint>
  /** Of the sockets that it listens on. @throws Error where node does not tell */
  descriptors(): number[]
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
  const shortage = shortageOf(options.descriptors)
  const exchanges = new LoginExchanges()
  const exchangeShares = new ExchangeShares()
  const listeners = new Set<Server>()
  const connections = new Set<ServerConnection>()
  /** Those that have not come to SSH yet. */
  let approaching = 0
  const whenIdle = new Set<() => void>()
  const admission = new Admission(options.limits, (penalty) => server.observe({ type: 'penalty', ...penalty }))
  const sayLastWords = createLastWords()
  const budgets = new Budgets(options.maxBytesPerIdentity)
  const { approach } = options

  function accept(socket: Socket): void {
    const { remoteAddress, remotePort, localAddress, localPort } = socket
    // Gone between the handshake and our accept.
    if (remoteAddress === undefined || localAddress === undefined) {
      socket.destroy()
      return
    }
    const remote = { address: plainAddress(remoteAddress), port: remotePort ?? 0 }
    const arrival = { stream: socket, remote, local: { address: plainAddress(localAddress), port: localPort ?? 0 } }
    const short = shortage(socket)
    if (short) {
      drop(arrival, short)
      return
    }
    if (!approach) {
      void inject(socket, remote, arrival.local)
      return
    }
    const place = admission.enter(approach.isProxy(remote) ? undefined : remote)
    if ('reason' in place) {
      drop(arrival, place)
      return
    }
    approaching++
    void approachAndServe(approach, arrival, place).finally(() => {
      approaching--
      tellIdle()
    })
  }

  function tellIdle(): void {
    if (connections.size + approaching === 0) for (const idle of [...whenIdle]) idle()
  }

  async function approachAndServe(approach: Approach, arrival: Arrival, place: AdmissionPlace): Promise<void> {
    const { stream } = arrival
    const abort = new AbortController()
    const gone = () => abort.abort(CONNECTION_GONE)
    let misdeed: Misdeed = 'noauth'
    const grace = setTimeout(() => {
      misdeed = 'grace-exceeded'
      abort.abort(new Error('login grace time exceeded'))
    }, options.limits().loginGraceTime || MAX_TIME_MS)
    grace.unref()
    stream.on('error', () => {})
    stream.once('close', gone)
    let { remote } = arrival
    let refused: Drop | undefined
    try {
      const arrived = await approach.arrive(arrival, abort.signal, (behind) => {
        remote = behind
        refused = place.identify(behind)
        if (refused) throw new Error(refused.reason)
      })
      if (arrived) serve(arrived, place, arrived.host === undefined ? {} : { host: arrived.host })
      else place.left(misdeed)
    } catch (error) {
      place.left(refused ? undefined : misdeed)
      if (refused) return drop({ ...arrival, remote }, refused)
      stream.destroy()
      const reason = error instanceof ArrivalError ? error.reason : 'arrival'
      const detail = clientText(messageOf(error))
      server.observe({ type: 'drop', remote, reason, detail })
    } finally {
      clearTimeout(grace)
      stream.off('close', gone)
    }
  }

  function inject(
    stream: Duplex,
    remote: Endpoint,
    local: Endpoint,
    carried: Carried<Identity> = {},
  ): Promise<boolean> {
    const over = deferred<boolean>()
    const place = stream.destroyed ? undefined : admission.enter(remote)
    if (place && !('reason' in place)) serve({ stream, remote, local }, place, carried, over.resolve)
    else over.resolve(false)
    if (place && 'reason' in place) drop({ stream, remote, local }, place, carried.greeted)
    return over.promise
  }

  function drop({ stream, remote }: Arrival, { reason, detail, text }: Drop, greeted = false): void {
    server.observe({ type: 'drop', remote, reason, ...(detail !== undefined && { detail }) })
    stream.on('error', () => {})
    const isCrowd = reason === 'max-startups' || reason === 'per-source-max-startups'
    if (isCrowd && !greeted && sayLastWords(stream, text)) return
    const timer = setTimeout(() => stream.destroy(), REFUSAL_MS)
    timer.unref()
    stream.once('close', () => clearTimeout(timer))
    stream.end(text, () => stream.destroy())
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

  function listenOn(where: { host: string; port: number } | { fd: number }): Promise<Endpoint> {
    return new Promise((resolve, reject) => {
      const listener = createServer({ noDelay: true }, accept)
      listener.once('error', reject)
      listener.listen(where, () => {
        listener.off('error', reject)
        // accept(2) fails for want of memory: the next one may work.
        listener.on('error', (error) => server.observe({ type: 'drop', reason: 'accept', detail: error.message }))
        listeners.add(listener)
        const address = listener.address()
        if (address === null || typeof address === 'string') return reject(new Error('not a TCP address'))
        resolve({ address: address.address, port: address.port })
      })
    })
  }

  return {
    listen: (host, port) => listenOn({ host, port }),
    adopt: (descriptor) => listenOn({ fd: descriptor }),
    descriptors: () => [...listeners].map(descriptorOf),
    inject,
    connections: () => connections.size,
    exchangesWaiting: () => exchanges.waiting,
    idle(signal) {
      if (connections.size + approaching === 0) return Promise.resolve(true)
      const { promise, resolve } = deferred<boolean>()
      const idle = () => resolve(true)
      whenIdle.add(idle)
      const remove = onAbort(signal, () => resolve(false))
      return promise.finally(() => {
        whenIdle.delete(idle)
        remove()
      })
    },
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

/** A listener that throws must not end a connection, or the process. */
function guarded(observe: (event: SshServerEvent) => void): (event: SshServerEvent) => void {
  return (event) => {
    try {
      observe(event)
    } catch {}
  }
}
