/**
 * Where connections come in: sockets that listen, and sshd's limits on who may begin. What is counted here is counted once
 * for all who come there, whoever serves them: those that have not logged in, and the penalties of sources.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { messageOf } from '../base/errors.ts'
import { clientText } from '../base/printable.ts'
import { plainAddress } from '../net/address.ts'
import { Admission, type AdmissionPlace, type Drop } from './admission.ts'
import { type Approach, type Arrival, ArrivalError } from './arrival.ts'
import type { Endpoint } from './connection.ts'
import { descriptorOf, shortageOf } from './descriptors.ts'
import { createLastWords } from './last-words.ts'
import type { Misdeed } from './penalties.ts'
import { CONNECTION_GONE } from './server-connection.ts'
import type { SshServerOptions } from './server-options.ts'

/** For a refusal to reach a client that reads slowly. */
const REFUSAL_MS = 2_000
/** setTimeout() takes no more. */
const MAX_TIME_MS = 2 ** 31 - 1

export interface Reception {
  /** May be called several times. Rejects with the error of the bind. */
  listen(host: string, port: number): Promise<Endpoint>
  /** The same on a socket that listens already, by its descriptor. */
  adopt(descriptor: number): Promise<Endpoint>
  /** Of the sockets that it listens on. @throws Error where node does not tell */
  descriptors(): number[]
  /**
   * Of a stream that came another way than by a socket: its place, or undefined where it was refused, and told so.
   * `greeted`: our identification was said already.
   */
  admit(arrival: Arrival, greeted?: boolean): AdmissionPlace | undefined
  /** Those that have come by a socket, and not to SSH yet. */
  readonly approaching: number
  /** Stop listening. Idempotent. */
  close(): void
}

/**
 * @param serve takes what SSH begins on, and its place, which it must leave
 * @param settled is called when one of those that approach is served or gone
 */
export function openReception(
  { limits, approach, descriptors, observe }: Omit<SshServerOptions<never>, 'authenticator' | 'connection'>,
  serve: (arrival: Arrival, place: AdmissionPlace) => void,
  settled: () => void,
): Reception {
  const shortage = shortageOf(descriptors)
  const listeners = new Set<Server>()
  const admission = new Admission(limits, (penalty) => observe({ type: 'penalty', ...penalty }))
  const sayLastWords = createLastWords()
  let approaching = 0

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
      const place = admit(arrival)
      if (place) serve(arrival, place)
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
      settled()
    })
  }

  async function approachAndServe(approach: Approach, arrival: Arrival, place: AdmissionPlace): Promise<void> {
    const { stream } = arrival
    const abort = new AbortController()
    const gone = () => abort.abort(CONNECTION_GONE)
    let misdeed: Misdeed = 'noauth'
    const grace = setTimeout(() => {
      misdeed = 'grace-exceeded'
      abort.abort(new Error('login grace time exceeded'))
    }, limits().loginGraceTime || MAX_TIME_MS)
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
      if (arrived) serve(arrived, place)
      else place.left(misdeed)
    } catch (error) {
      place.left(refused ? undefined : misdeed)
      if (refused) return drop({ ...arrival, remote }, refused)
      stream.destroy()
      const reason = error instanceof ArrivalError ? error.reason : 'arrival'
      const detail = clientText(messageOf(error))
      observe({ type: 'drop', remote, reason, detail })
    } finally {
      clearTimeout(grace)
      stream.off('close', gone)
    }
  }

  function admit(arrival: Arrival, greeted = false): AdmissionPlace | undefined {
    if (arrival.stream.destroyed) return undefined
    const place = admission.enter(arrival.remote)
    if (!('reason' in place)) return place
    drop(arrival, place, greeted)
    return undefined
  }

  function drop({ stream, remote }: Arrival, { reason, detail, text }: Drop, greeted = false): void {
    observe({ type: 'drop', remote, reason, ...(detail !== undefined && { detail }) })
    stream.on('error', () => {})
    const isCrowd = reason === 'max-startups' || reason === 'per-source-max-startups'
    if (isCrowd && !greeted && sayLastWords(stream, text)) return
    const timer = setTimeout(() => stream.destroy(), REFUSAL_MS)
    timer.unref()
    stream.once('close', () => clearTimeout(timer))
    stream.end(text, () => stream.destroy())
  }

  function listenOn(where: { host: string; port: number } | { fd: number }): Promise<Endpoint> {
    return new Promise((resolve, reject) => {
      const listener = createServer({ noDelay: true }, accept)
      listener.once('error', reject)
      listener.listen(where, () => {
        listener.off('error', reject)
        // accept(2) fails for want of memory: the next one may work.
        listener.on('error', (error) => observe({ type: 'drop', reason: 'accept', detail: error.message }))
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
    admit,
    get approaching() {
      return approaching
    },
    close() {
      // Not the callback of close(): it waits for the connections.
      for (const listener of listeners) listener.close()
      listeners.clear()
    },
  }
}
