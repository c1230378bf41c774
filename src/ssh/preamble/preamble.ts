/** What may come on a socket before SSH: the PROXY header of proxies that are listed, then the name of a host. */

import { messageOf } from '../../base/errors.ts'
import { type Block, contains, parseAddress, plainAddress } from '../../net/address.ts'
import { type Approach, type Arrival, ArrivalError } from '../arrival.ts'
import { parseProxyHeader } from './proxy-header.ts'
import { knock } from './read-prefix.ts'
import { take } from './take-bytes.ts'

export interface ApproachOptions {
  /** Only they may say for whom they speak; from anybody else a header is garbage before the SSH banner. */
  readonly proxies: () => readonly Block[]
}

export function createApproach({ proxies }: ApproachOptions): Approach {
  function isProxy({ address }: Arrival['remote']): boolean {
    const parsed = parseAddress(address)
    return parsed !== undefined && contains(proxies(), parsed)
  }

  return {
    isProxy,
    async arrive(arrival, signal, behind) {
      const arrived = isProxy(arrival.remote) ? await behindProxy(arrival, signal) : arrival
      // A proxy that speaks for itself (a health check: LOCAL, or in version 1 its own address) is nobody's source.
      if (arrived.remote.address !== arrival.remote.address) behind(arrived.remote)
      const host = await knock(arrived.stream, signal)
      return host === undefined ? arrived : { ...arrived, host }
    },
  }
}

async function behindProxy(arrival: Arrival, signal: AbortSignal): Promise<Arrival> {
  let header = parseProxyHeader(Buffer.alloc(0))
  try {
    await take(
      arrival.stream,
      (bytes) => {
        header = parseProxyHeader(bytes)
        if (header.kind === 'incomplete') return header
        return { taken: header.kind === 'complete' ? header.length : 0 }
      },
      signal,
    )
  } catch (error) {
    throw new ArrivalError('proxy-header', messageOf(error))
  }
  if (header.kind === 'invalid') throw new ArrivalError('proxy-header', header.reason)
  if (header.kind !== 'complete' || !header.ends) return arrival
  const { source, destination } = header.ends
  return { ...arrival, remote: plainEnd(source), local: plainEnd(destination) }
}

function plainEnd({ address, port }: Arrival['remote']): Arrival['remote'] {
  return { address: plainAddress(address), port }
}
