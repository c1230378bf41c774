/**
 * Containers that do not run when somebody wants in: started or unpaused where the configuration and the policy allow,
 * and stopped again some time after the last connection, if it was us who started them.
 */

import type { Logger } from 'pino'
import { containerFacts, placeFields, type Whose } from '../../base/connection-facts.ts'
import { HatchwayError, undefinedIf } from '../../base/errors.ts'
import { type Container, type Engine, engineOf, type Lifecycle } from '../../engine/engine.ts'
import { engineLimit } from '../../engine/messages.ts'
import { deadline } from '../../lifetime/deadline.ts'
import { onAbort, unlessAborted } from '../../lifetime/on-abort.ts'
import type { EmitContainerEvent } from '../container-event.ts'
import { bringUp, STARTABLE, stateWord } from './start.ts'

export interface StarterLimits {
  /** Of a start and of a stop; every engine call within has its own, shorter limit. */
  readonly changeMs: number
  /** A stop that failed is tried again after `stopAfter`, but not before. */
  readonly againMs: number
}

const LIMITS: StarterLimits = { changeMs: 90_000, againMs: 60_000 }
/** As `docker stop`. */
const STOP_GRACE_S = 10

export interface StarterSettings {
  readonly startOnConnect: boolean
  /** Milliseconds; absent: what was started stays. */
  readonly stopAfter?: number | undefined
}

export interface Entrance {
  /** Ask whether this identity may have it started. @throws HatchwayError NOT_PERMITTED */
  readonly may: () => Promise<unknown>
  /** A line for the person who waits. */
  readonly tell?: ((line: string) => void) | undefined
  /** The connection, for whose life the container is in use. */
  readonly closed: AbortSignal
  readonly whose?: Whose
  /** Started whatever `startOnConnect` says: one of our own making. */
  readonly own?: boolean
}

export interface Starter {
  /**
   * The container, running, and in use until the connection closes.
   * @throws HatchwayError CONTAINER_NOT_RUNNING, CONTAINER_START_FAILED, NOT_PERMITTED, ENGINE_*
   */
  running(container: Container, entrance: Entrance, signal: AbortSignal): Promise<Container>
  /** Whether a container would be started, as it is, for a login that may have it started. */
  canStart(container: Pick<Container, 'id' | 'state'>): boolean
  /** No container is stopped from now on. */
  close(): void
}

/** A run of a container that we started. */
interface Run {
  readonly startedAt: string
  readonly users: Set<AbortSignal>
  timer?: NodeJS.Timeout
  stopping?: Promise<void>
}

/** `forget`: what is remembered of this container is wrong now. */
export function createStarter(
  engine: Engine,
  settings: StarterSettings,
  forget: (containerId: string) => void,
  log: Logger,
  emit: EmitContainerEvent,
  some: Partial<StarterLimits> = {},
): Starter {
  const limits = { ...LIMITS, ...some }
  const starts = new Map<string, Promise<Container>>()
  const runs = new Map<string, Run>()

  async function running(known: Container, entrance: Entrance, signal: AbortSignal): Promise<Container> {
    const stopping = runs.get(known.id)?.stopping
    if (stopping) await unlessAborted(stopping, signal)
    // What was remembered of a stopped one may be old.
    const current = known.state === 'running' && !stopping
    const container = current ? known : await engine.inspect(known.id, signal)
    const up = container.state === 'running' ? container : await start(container, entrance, signal)
    // It was made, and came up by itself: nobody else began that run.
    if (entrance.own && !runs.has(up.id) && engineOf(engine, up.id).lifecycle?.comesUp) {
      runs.set(up.id, { startedAt: up.startedAt, users: new Set() })
    }
    use(up, entrance.closed)
    return up
  }

  async function start(container: Container, entrance: Entrance, signal: AbortSignal): Promise<Container> {
    const { id, name, state } = container
    const { lifecycle } = engineOf(engine, id)
    const may = entrance.own || (settings.startOnConnect && !lifecycle?.comesUp)
    if (!may || !lifecycle || !STARTABLE.includes(state)) {
      throw new HatchwayError('CONTAINER_NOT_RUNNING', `container ${name} is ${stateWord(state)}`)
    }
    await entrance.may()
    // Of one that was just made for them they were told already.
    if (!(entrance.own && state === 'created'))
      entrance.tell?.(`${state === 'paused' ? 'unpausing' : 'starting'} container ${name} ...`)
    // One start for all who wait, so none of them may abort it: it has its own limit.
    let started = starts.get(id)
    if (!started) {
      started = startOnce(lifecycle, container, entrance.whose).finally(() => starts.delete(id))
      starts.set(id, started)
    }
    return unlessAborted(started, signal)
  }

  async function startOnce(lifecycle: Lifecycle, container: Container, whose?: Whose): Promise<Container> {
    const up = await bringUp(
      engine,
      lifecycle,
      container,
      deadline(engineLimit('starting the container', limits.changeMs)),
    )
    forget(up.id)
    const action = container.state === 'paused' ? 'unpaused' : 'started'
    emit({ type: 'container', action, container: containerFacts(up), ...(whose && { whose }) })
    // Unpaused, it is in the same run as before, which somebody else began.
    if (up.startedAt !== container.startedAt) {
      const run: Run = { startedAt: up.startedAt, users: new Set() }
      runs.set(up.id, run)
      // The client that wanted it may have left meanwhile.
      rest(up, run)
    }
    return up
  }

  /** A run that somebody else began, or began again, is not ours to end. */
  function use(container: Container, closed: AbortSignal): void {
    const run = runs.get(container.id)
    if (!run || run.users.has(closed)) return
    if (run.startedAt !== container.startedAt) {
      clearTimeout(run.timer)
      runs.delete(container.id)
      return
    }
    clearTimeout(run.timer)
    run.users.add(closed)
    const release = () => {
      run.users.delete(closed)
      rest(container, run)
    }
    onAbort(closed, release)
  }

  function rest(container: Container, run: Run, atLeastMs = 0): void {
    if (run.users.size > 0 || settings.stopAfter === undefined || runs.get(container.id) !== run) return
    run.timer = setTimeout(() => void stop(container, run), Math.max(settings.stopAfter, atLeastMs)).unref()
  }

  async function stop(container: Container, run: Run): Promise<void> {
    const limit = deadline(engineLimit('stopping the container', limits.changeMs))
    const facts = { ...placeFields(container) }
    const stopping = stopRun(engine, container, run.startedAt, limit).catch((error: unknown) => {
      log.warn({ ...facts, err: error }, 'container could not be stopped; it is tried again')
      return 'failed' as const
    })
    run.stopping = stopping.then(() => undefined)
    const how = await stopping
    if (how === 'in use' || how === 'failed') {
      if (how === 'in use') log.info(facts, 'container runs on: somebody else is in it')
      delete run.stopping
      return rest(container, run, how === 'failed' ? limits.againMs : 0)
    }
    if (how === 'stopped') emit({ type: 'container', action: 'stopped', container: containerFacts(container) })
    runs.delete(container.id)
    forget(container.id)
  }

  return {
    running,
    canStart({ id, state }) {
      const { lifecycle } = engineOf(engine, id)
      return settings.startOnConnect && lifecycle !== undefined && !lifecycle.comesUp && STARTABLE.includes(state)
    },
    close() {
      for (const { timer } of runs.values()) clearTimeout(timer)
      runs.clear()
    },
  }
}

async function stopRun(
  engine: Engine,
  { id }: Container,
  startedAt: string,
  limit: AbortSignal,
): Promise<'stopped' | 'in use' | 'another run'> {
  const now = await engine.inspect(id, limit).catch(undefinedIf('CONTAINER_NOT_FOUND'))
  if (now?.state !== 'running' || now.startedAt !== startedAt) return 'another run'
  const { lifecycle } = engineOf(engine, id)
  if (await lifecycle?.othersInside(id, limit)) return 'in use'
  await lifecycle?.stop(id, STOP_GRACE_S, limit)
  return 'stopped'
}
