/** Why a program's stream ended, when it was not the program: its container was stopped, killed, restarted, removed. */
import { setTimeout as delay } from 'node:timers/promises'
import { HatchwayError, isFailure, undefinedIf } from '../base/errors.ts'
import { oneLine } from '../base/printable.ts'
import type { Container } from './engine.ts'
import type { ParsedEvent } from './json.ts'
import { engineLost } from './messages.ts'

export interface EndingView {
  readonly name: string
  /** When the program was started, milliseconds since the epoch. */
  readonly since: number
  inspect(): Promise<Container>
  /** What happened to the container lately; may be empty where the engine forgets. */
  recentEvents(): Promise<readonly ParsedEvent[]>
  /** Podman tells of a stop when that is over, some time after the end of what was stopped. */
  readonly stopIsToldLate?: boolean
}

/** The exec's end is reported some milliseconds before its container's. */
const LOOKS = [0, 60, 200] as const

const LATE_LOOKS = [0, 300, 500, 700, 1000] as const

export function isAway(error: unknown): boolean {
  return isFailure(error, 'ENGINE_UNAVAILABLE', 'ENGINE_LOST')
}

/** undefined: the container runs on untouched, so the program ended by itself; or the engine answers and does not tell. */
export async function whyEnded(view: EndingView): Promise<HatchwayError | undefined> {
  try {
    return await look(view)
  } catch (error) {
    return isAway(error) ? engineLost(error) : undefined
  }
}

async function look(view: EndingView): Promise<HatchwayError | undefined> {
  const inspect = () => view.inspect().catch(undefinedIf('CONTAINER_NOT_FOUND'))
  let name = view.name
  for (const wait of LOOKS) {
    if (wait > 0) await delay(wait)
    const container = await inspect()
    if (container === undefined) return gone(name, 'was removed')
    name = container.name
    if (container.state === 'removing' || container.state === 'dead') return gone(name, 'was removed')
    if (container.state === 'running' || container.state === 'paused') {
      if (Date.parse(container.startedAt) > view.since) return gone(name, 'was restarted')
      continue
    }
    if (container.state === 'restarting') return gone(name, 'was restarted')
    const events = await view.recentEvents()
    const how = howStopped(events)
    // An orderly stop is told as such; `rm -f` only kills, and a moment later the container is gone.
    if (events.some((event) => event.action === 'stop')) return gone(name, how)
    await delay(300)
    if ((await inspect()) === undefined) return gone(name, 'was removed')
    return gone(name, how === ENDED && view.stopIsToldLate ? await howStoppedAfterAll(view) : how)
  }
  return undefined
}

async function howStoppedAfterAll(view: EndingView): Promise<string> {
  for (const wait of LATE_LOOKS) {
    await delay(wait)
    const how = howStopped(await view.recentEvents())
    if (how !== ENDED) return how
  }
  return ENDED
}

const ENDED = 'ended'

function howStopped(events: readonly ParsedEvent[]): string {
  if (events.some((event) => event.action === 'oom')) return 'ran out of memory'
  // Podman tells of a restart before its stop.
  if (events.some((event) => event.action === 'restart')) return 'was restarted'
  if (events.some((event) => event.action === 'stop')) return 'was stopped'
  // Podman does not tell the signal: its `stop` is an event of its own.
  const signals = events.filter((event) => event.action === 'kill').map((event) => event.signal ?? '9')
  if (signals.length === 0) return events.some((e) => e.action === 'die' || e.action === 'died') ? ENDED : 'was stopped'
  return signals.every((signal) => ['9', 'KILL', 'SIGKILL'].includes(signal)) ? 'was killed' : 'was stopped'
}

function gone(name: string, how: string): HatchwayError {
  return new HatchwayError('CONTAINER_GONE', `container ${oneLine(name, 80)} ${how}`)
}
