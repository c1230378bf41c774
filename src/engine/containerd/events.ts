/** What happens to containers, as containerd publishes it, in a stream that comes back after its restart. */
import { setTimeout as delay } from 'node:timers/promises'
import { HatchwayError } from '../../base/errors.ts'
import { anyOf } from '../../lifetime/deadline.ts'
import type { EngineEvent } from '../engine.ts'
import type { ContainerdApi } from './api.ts'
import type { DecodedMessage } from './protobuf.ts'

const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 5000

/** By topic: Docker's word for it, and the field that has the container's id. */
const ACTIONS: Readonly<Record<string, string>> = {
  '/containers/create': 'create',
  '/containers/update': 'update',
  '/containers/delete': 'destroy',
  '/tasks/start': 'start',
  '/tasks/exit': 'die',
  '/tasks/oom': 'oom',
  '/tasks/paused': 'pause',
  '/tasks/resumed': 'unpause',
}

export async function* containerdEvents(api: ContainerdApi, signal: AbortSignal): AsyncGenerator<EngineEvent> {
  let state: 'up' | 'broken' | 'away' = 'up'
  for (let pause = FIRST_PAUSE_MS; !signal.aborted; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    let open = false
    const over = new AbortController()
    let stream: AsyncGenerator<DecodedMessage> | undefined
    try {
      // Nothing is answered to a subscription: it is first, and what is asked after it on the same connection is answered.
      stream = api.stream('subscribe', { 1: [`namespace==${api.namespace}`] }, anyOf(signal, over.signal))
      const first = stream.next()
      first.catch(() => {})
      await api.call('version', {}, signal)
      open = true
      if (state !== 'up') yield { type: 'reconnected' }
      state = 'up'
      pause = FIRST_PAUSE_MS
      for (let next = await first; !next.done; next = await stream.next()) {
        const event = readEvent(next.value, api.namespace)
        if (event !== undefined) yield event
      }
    } catch (error) {
      // Whatever broke it, the cure is the same: wait, and connect again. A stream that only ended is no engine that is away.
      if (!open && state !== 'away' && !signal.aborted && error instanceof HatchwayError) {
        state = 'away'
        yield { type: 'lost', error }
      }
    } finally {
      // First: the stream's own end would wait for its next message.
      over.abort()
      stream?.return(undefined).catch(() => {})
    }
    if (state === 'up') state = 'broken'
    await delay(pause, undefined, { signal }).catch(() => {})
  }
}

function readEvent(envelope: DecodedMessage, namespace: string): EngineEvent | undefined {
  const action = ACTIONS[envelope.text(3)]
  if (action === undefined || envelope.text(2) !== namespace) return undefined
  const event = envelope.message(4).message(2)
  const id = event.text(1)
  // An exec's end has its own id beside the container's.
  if (id === '' || (action === 'die' && event.text(2) !== id)) return undefined
  return { type: 'container', action, id }
}
