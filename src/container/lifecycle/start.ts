/** From a container that does not run to one that does, or to the reason why it cannot. */
import { setTimeout as delay } from 'node:timers/promises'
import { asHatchwayError, HatchwayError } from '../../base/errors.ts'
import type { Container, ContainerState, Engine, Lifecycle } from '../../engine/engine.ts'
import { brief } from '../find.ts'

export const STARTABLE: readonly ContainerState[] = ['created', 'exited', 'paused', 'restarting']

const POLL_MS = 100
/**
 * A program that fails on its first lines ends within; engines answer a start before. Where the start took longer, the
 * machine is busy and its end takes as long to be told: 0.4 s after starts of 1.8 s were seen.
 */
const SETTLED_MS = 250
const MAX_SETTLED_MS = 2000
const LOG_LINES = 10

/** @throws HatchwayError CONTAINER_START_FAILED, CONTAINER_NOT_FOUND, ENGINE_* */
export async function bringUp(
  engine: Engine,
  lifecycle: Lifecycle,
  container: Container,
  signal: AbortSignal,
): Promise<Container> {
  const began = performance.now()
  try {
    if (container.state === 'paused') await lifecycle.unpause(container.id, signal)
    else if (container.state !== 'restarting') await lifecycle.start(container.id, signal)
  } catch (error) {
    // Another gateway or a person may have been faster: what counts is whether it runs.
    const now = await engine.inspect(container.id, signal)
    if (now.state !== 'running') throw startFailed(container, error)
  }
  const settledMs = Math.min(Math.max(performance.now() - began, SETTLED_MS), MAX_SETTLED_MS)
  let seen: Container | undefined
  for (;;) {
    const now = await engine.inspect(container.id, signal)
    if (now.state === 'running' && now.startedAt === seen?.startedAt) return now
    if (now.state === 'exited' || now.state === 'dead' || now.state === 'removing') {
      throw await endedAtOnce(lifecycle, now, signal)
    }
    seen = now.state === 'running' ? now : undefined
    await delay(seen ? settledMs : POLL_MS, undefined, { signal }).catch(() => {
      throw new HatchwayError('CONTAINER_START_FAILED', `container ${container.name} does not come up`)
    })
  }
}

function startFailed(container: Container, error: unknown): unknown {
  const failure = asHatchwayError(error)
  if (failure.code !== 'ENGINE_ERROR') return error
  const why = failure.message.replace(/^the container engine refused: /, '')
  return new HatchwayError('CONTAINER_START_FAILED', `container ${container.name} cannot be started: ${why}`, {
    cause: failure.cause,
  })
}

async function endedAtOnce(lifecycle: Lifecycle, container: Container, signal: AbortSignal): Promise<HatchwayError> {
  const text = await lifecycle.logs(container.id, LOG_LINES, signal).catch(() => '')
  const last = text.trimEnd().split('\n').at(-1)?.trim()
  return new HatchwayError(
    'CONTAINER_START_FAILED',
    `container ${container.name} ended at once with code ${container.exitCode}${last ? `: ${brief(last)}` : ''}`,
  )
}

export function stateWord(state: ContainerState): string {
  switch (state) {
    case 'exited':
      return 'stopped'
    case 'created':
      return 'not started'
    case 'removing':
      return 'being removed'
    default:
      return state
  }
}
