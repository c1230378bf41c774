/** The end of an exec: the stream is over, what was it? An exit code, a failed start, a container or an engine that went. */

import { setTimeout as delay } from 'node:timers/promises'
import { causeText, HatchwayError, isFailure } from '../../base/errors.ts'
import { oneLine } from '../../base/printable.ts'
import type { ExitStatus } from '../../base/program.ts'
import { isAway, whyEnded } from '../ending.ts'
import type { ExecSpec, OutputSink } from '../engine.ts'
import { parseContainer, parseExecState } from '../json.ts'
import {
  couldNotRun,
  engineLost,
  mayBeStartFailure,
  notRunning,
  startFailure,
  withoutAttachNoise,
} from '../messages.ts'
import type { TextGate } from '../text-gate.ts'
import type { DockerApi } from './api.ts'
import { recentEvents } from './events.ts'

export interface EndedExec {
  readonly api: DockerApi
  readonly containerId: string
  readonly execId: string
  readonly spec: ExecSpec
  readonly sink: OutputSink
  readonly gates: readonly TextGate[]
  /** Why the stream broke; undefined when it ended cleanly. */
  readonly error: Error | undefined
  /** Milliseconds since the epoch when it was started. */
  readonly since: number
  /** Aborts at close(). */
  readonly signal: AbortSignal
}

/**
 * A start that was refused because the engine knows no such exec: its container ended after the exec was made, and that
 * is what happened; or else the engine was restarted in between.
 */
export async function notStarted(
  api: DockerApi,
  containerId: string,
  error: unknown,
  signal: AbortSignal,
): Promise<unknown> {
  if (!/no such exec (instance|session)|no exec session with id/i.test(causeText(error))) return error
  const about = { container: api.name(containerId) }
  try {
    const { state, name } = await api.json('GET', `/containers/${containerId}/json`, { signal, about }, parseContainer)
    return notRunning(`is ${state}`, name) ?? engineLost(error)
  } catch (failure) {
    return failure
  }
}

/** Docker may know a code a moment late. */
const CODE_MS = 3000

export async function execEnded(ended: EndedExec): Promise<ExitStatus> {
  const { api, containerId, spec, sink, gates, signal } = ended
  const about = { container: api.name(containerId), user: spec.user }
  const release = () => {
    for (const gate of gates) gate.release()
  }
  try {
    if (ended.error instanceof HatchwayError) throw ended.error
    const code = await exitCode(ended)
    const all = gates.map((gate) => gate.held()).find((text) => text !== undefined)
    const held = all === undefined ? undefined : withoutAttachNoise(all)
    if (held === '') for (const gate of gates) gate.drop()
    if (held !== undefined && mayBeStartFailure(held, code)) {
      for (const gate of gates) gate.drop()
      if (held === '') {
        const cause = new Error(oneLine(all ?? ''))
        throw new HatchwayError('ENGINE_ERROR', 'the container engine could not run the program', { cause })
      }
      const failure = startFailure(held, spec.argv[0], spec.cwd, about)
      if (failure === undefined) throw couldNotRun(held, about)
      if ('error' in failure) throw failure.error
      sink.write(spec.tty === undefined ? 2 : 1, Buffer.from(`${failure.line}${spec.tty === undefined ? '' : '\r'}\n`))
      return { code: failure.code }
    }
    release()
    // Everything in a container dies by SIGKILL with its first process; a program may also have been killed alone.
    if (code === 137) {
      const why = await whyContainerEnded(ended)
      if (why !== undefined) throw why
    }
    return { code }
  } catch (error) {
    release()
    if (signal.aborted) return { signal: 'HUP', coreDumped: false }
    throw error
  }
}

async function exitCode({ api, execId, error, signal, ...ended }: EndedExec): Promise<number> {
  let silent = 0
  for (let wait = 20; ; wait = Math.min(wait * 2, 1000)) {
    const state = await api
      .json('GET', `/exec/${execId}/json`, { signal }, parseExecState)
      .catch(async (failure: unknown) => {
        if (isAway(failure)) throw engineLost(failure)
        // One that hangs would let the next question hang as well.
        if (isFailure(failure, 'ENGINE_TIMEOUT')) throw failure
        // The engine answers but has forgotten the exec: its container is gone, or it was itself restarted.
        throw (await whyContainerEnded({ api, execId, error, signal, ...ended })) ?? engineLost(failure)
      })
    if (state.code !== undefined) return state.code
    // A broken stream cannot be joined again. A clean end while it runs is a program that closed its own output:
    // sshd waits for such a one, so do we.
    if (error !== undefined)
      throw (await whyContainerEnded({ api, execId, error, signal, ...ended })) ?? engineLost(error)
    if (!state.running) silent += wait
    if (silent > CODE_MS) {
      throw new HatchwayError('ENGINE_ERROR', 'the container engine does not tell the exit code')
    }
    await delay(wait, undefined, { signal })
  }
}

async function whyContainerEnded({ api, containerId, since, signal }: EndedExec): Promise<HatchwayError | undefined> {
  const stopIsToldLate = await api.version(signal).then(
    ({ product }) => product === 'podman',
    () => false,
  )
  return whyEnded({
    stopIsToldLate,
    name: api.name(containerId),
    since,
    inspect: () => api.json('GET', `/containers/${containerId}/json`, { signal }, parseContainer),
    recentEvents: () => recentEvents(api, containerId, since, signal),
  })
}
