/** What stands before SSH on an accepted socket; src/ssh/preamble/ has it. */
import type { Duplex } from 'node:stream'
import type { Endpoint } from './connection.ts'

/** A stream on which SSH begins with the next byte, and between whom. */
export interface Arrival {
  readonly stream: Duplex
  readonly remote: Endpoint
  readonly local: Endpoint
  /** The host its client named, as to a proxy. */
  readonly host?: string
}

export interface Approach {
  /** This peer is a proxy: `arrive` finds out for which client it speaks. */
  isProxy(peer: Endpoint): boolean
  /**
   * Read what comes first. Resolves with where SSH goes on, or with undefined where it was no SSH and has been answered.
   * What it rejects with is logged, and the stream closed. `signal` is the login grace time, and the stream's end.
   * `behind` is told at once for which client a proxy speaks, and throws when that client is refused: nothing more is read
   * then.
   */
  arrive(arrival: Arrival, signal: AbortSignal, behind: (remote: Endpoint) => void): Promise<Arrival | undefined>
}

/** As the log says it. */
export type ArrivalFailure = 'proxy-header' | 'proxy-request' | 'arrival'

/** Why a stream was closed before SSH began; the sentence is for the log. */
export class ArrivalError extends Error {
  readonly reason: ArrivalFailure

  constructor(reason: ArrivalFailure, message: string) {
    super(message)
    this.name = 'ArrivalError'
    this.reason = reason
  }
}
