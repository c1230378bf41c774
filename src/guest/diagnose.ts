/** Why a helper that ended or fell silent did so, as far as its container tells. */
import { setTimeout as delay } from 'node:timers/promises'
import { HatchwayError } from '../base/errors.ts'
import type { Container, Engine } from '../engine/engine.ts'
import { engineLimit } from '../engine/messages.ts'
import { deadline } from '../lifetime/deadline.ts'

const DIAGNOSE_MS = 10_000
/**
 * An exec's end is told some milliseconds before its container's; seconds before it, where an init that is told to stop
 * sends TERM to everybody and then waits (s6-overlay, systemd, busybox).
 */
const LOOKS = [0, 100, 400, 1000, 1500] as const

export async function diagnose(engine: Engine, container: Container): Promise<HatchwayError | 'paused' | undefined> {
  const gone = (how: string) => new HatchwayError('CONTAINER_GONE', `container ${container.name} ${how}`)
  for (const wait of LOOKS) {
    await delay(wait)
    try {
      const now = await engine.inspect(container.id, deadline(engineLimit('asking for the container', DIAGNOSE_MS)))
      if (now.state === 'paused') return 'paused'
      if (now.state === 'removing' || now.state === 'dead') return gone('was removed')
      if (now.state !== 'running') return gone('was stopped')
      if (now.startedAt !== container.startedAt) return gone('was restarted')
    } catch (error) {
      if (!(error instanceof HatchwayError)) return undefined
      return error.code === 'CONTAINER_NOT_FOUND' ? gone('was removed') : error
    }
  }
  return undefined
}
