/** GET /events: what happens to containers, as a stream that comes back after an engine's restart. */
import { setTimeout as delay } from 'node:timers/promises'
import { HatchwayError } from '../../base/errors.ts'
import type { EngineEvent } from '../engine.ts'
import { createGoingCheck } from '../going.ts'
import { type ParsedEvent, parseEvent, parseEvents } from '../json.ts'
import { readLines } from '../lines.ts'
import { unreachable } from '../messages.ts'
import { connectSocket, type DockerAddress } from './address.ts'
import type { DockerApi } from './api.ts'

const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 5000
const CONNECT_MS = 2000
const GONE: readonly string[] = ['ENOENT', 'ECONNREFUSED']

export async function* dockerEvents(api: DockerApi, signal: AbortSignal): AsyncGenerator<EngineEvent> {
  let state: 'up' | 'broken' | 'away' = 'up'
  const isGoing = createGoingCheck(() => takesConnections(api.address))
  for (let pause = FIRST_PAUSE_MS; !signal.aborted; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    let open = false
    try {
      const { prefix } = await api.version(signal)
      const response = await api.http.open('GET', `${prefix}/events?${filter({ type: ['container'] })}`, signal)
      try {
        if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`)
        open = true
        // The listener lists the containers now: the stream is open already, so nothing falls in between.
        if (state !== 'up') yield { type: 'reconnected' }
        state = 'up'
        pause = FIRST_PAUSE_MS
        for await (const line of readLines(response)) {
          const event = parseEvent(line)
          if (event === undefined) continue
          yield { type: 'container', action: event.action, id: event.id }
          if (state !== 'away' && (await isGoing(event))) {
            state = 'away'
            yield { type: 'lost', error: unreachable(undefined, new Error('it stops its containers')) }
          }
        }
      } finally {
        response.destroy()
      }
    } catch (error) {
      // Whatever broke it, the cure is the same: wait, and connect again. A stream that only ended is no engine that is away.
      if (!open && state !== 'away' && !signal.aborted && error instanceof HatchwayError) {
        state = 'away'
        yield { type: 'lost', error }
      }
    }
    api.forget()
    if (state === 'up') state = 'broken'
    await delay(pause, undefined, { signal }).catch(() => {})
  }
}

/** False only where it surely does not: a socket that is gone, or that nobody listens on. */
function takesConnections(address: DockerAddress): Promise<boolean> {
  return new Promise((resolve) => {
    // Its own ssh takes seconds to tell.
    if (address.kind === 'ssh') return resolve(true)
    const socket = connectSocket(address)
    const answer = (takes: boolean) => {
      socket.destroy()
      resolve(takes)
    }
    socket.setTimeout(CONNECT_MS, () => answer(true))
    socket.once('connect', () => answer(true))
    socket.on('error', (error: NodeJS.ErrnoException) => answer(!GONE.includes(error.code ?? '')))
  })
}

/** What happened to one container since; empty where the engine does not tell. */
export async function recentEvents(
  api: DockerApi,
  containerId: string,
  since: number,
  signal: AbortSignal,
): Promise<ParsedEvent[]> {
  const now = Date.now() / 1000
  const { prefix, product } = await api.version(signal)
  // Asked up to now, Docker answers at once from memory. Podman then stops before it has read its log's first line.
  const end = product === 'podman' ? 'stream=false' : `until=${now.toFixed(3)}`
  const span = `since=${Math.max(since / 1000 - 1, now - 60).toFixed(3)}&${end}`
  const path = `${prefix}/events?${span}&${filter({ type: ['container'], container: [containerId] })}`
  const answer = await api.http.call('GET', path, { signal, deadline: 2000, limit: 1024 * 1024 }).catch(() => undefined)
  return answer?.status === 200 ? parseEvents(answer.body.toString('utf8'), containerId) : []
}

function filter(filters: Record<string, string[]>): string {
  return `filters=${encodeURIComponent(JSON.stringify(filters))}`
}
