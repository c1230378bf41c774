/** `docker exec` over the API: create, start hijacked, pump, and say how it ended. */

import type { Duplex } from 'node:stream'
import { HatchwayError } from '../../base/errors.ts'
import type { ExitStatus } from '../../base/program.ts'
import { deferred } from '../../lifetime/deferred.ts'
import type { KeyedSemaphore } from '../../lifetime/semaphore.ts'
import { DETACH_KEYS } from '../detach-keys.ts'
import type { Exec, ExecSpec, OutputSink } from '../engine.ts'
import { parseExecState, parseObjectId } from '../json.ts'
import { engineError, engineTimeout, START_FAILURE_TEXTS } from '../messages.ts'
import { createStdin } from '../stdin.ts'
import { createTextGate } from '../text-gate.ts'
import type { DockerApi } from './api.ts'
import { createDemux } from './demux.ts'
import { execEnded, notStarted } from './exit.ts'
import { hijack } from './hijack.ts'
import { createResizer } from './resize.ts'

/** A start counts as done at its first output, or after this: nothing in the API tells. */
const START_SETTLES_MS = 250

export async function startExec(
  api: DockerApi,
  gate: KeyedSemaphore,
  containerId: string,
  spec: ExecSpec,
  sink: OutputSink,
  signal: AbortSignal,
  startDeadline: number,
): Promise<Exec> {
  const version = await api.version(signal)
  const about = { container: api.name(containerId), user: spec.user }
  const size = spec.tty !== undefined && spec.tty.cols > 0 && spec.tty.rows > 0 ? spec.tty : undefined
  const consoleSize = size !== undefined && version.consoleSize ? { ConsoleSize: [size.rows, size.cols] } : {}
  // Podman takes h and w in the body of the start; Docker before 26 (API 1.42) has nothing but a resize after it.
  const startSize = size !== undefined && version.product === 'podman' ? { h: size.rows, w: size.cols } : {}

  const leave = await gate.enter(containerId, signal)
  try {
    const execId = await api.json(
      'POST',
      `/containers/${containerId}/exec`,
      {
        signal,
        about,
        json: {
          AttachStdin: true,
          AttachStdout: true,
          AttachStderr: true,
          Tty: spec.tty !== undefined,
          DetachKeys: DETACH_KEYS,
          Cmd: spec.argv,
          // Docker drops an entry without "=", Podman refuses the exec for it.
          Env: spec.env.filter((entry) => entry.indexOf('=') > 0),
          User: spec.user,
          ...(spec.cwd !== '' && { WorkingDir: spec.cwd }),
          ...consoleSize,
        },
      },
      parseObjectId,
    )
    api.ownExecs.set(execId, true)

    const life = new AbortController()
    const exit = deferred<ExitStatus>()
    // An unhandled rejection must not kill a caller that closes before asking for `exit`.
    exit.promise.catch(() => {})

    const gates = {
      1: createTextGate((chunk) => sink.write(1, chunk), START_FAILURE_TEXTS),
      2: createTextGate((chunk) => sink.write(2, chunk), START_FAILURE_TEXTS),
    }
    const demux = spec.tty === undefined ? createDemux((fd, chunk) => gates[fd].write(chunk)) : undefined
    let ended = false
    const stop = () => {
      ended = true
      clearTimeout(watch)
      leave()
      gates[1].freeze()
      gates[2].freeze()
    }
    const end = (error?: Error) => {
      if (ended) return
      stop()
      const about = { api, containerId, execId, spec, sink, gates: [gates[1], gates[2]] }
      exit.resolve(execEnded({ ...about, error, since, signal: life.signal }))
      // Only now: bytes that were still to be written to a program that is gone are dropped, not waited for.
      socket?.destroy()
    }

    const since = Date.now()
    let watch: NodeJS.Timeout | undefined
    let socket: Duplex | undefined
    const started = await hijack(api.address, {
      path: `${version.prefix}/exec/${execId}/start`,
      json: { Detach: false, Tty: spec.tty !== undefined, ...consoleSize, ...startSize },
      signal,
      deadline: startDeadline,
      refused: (text) => engineError(text, about, 'the container engine could not start the program'),
      data(chunk) {
        leave()
        clearTimeout(watch)
        try {
          return demux === undefined ? gates[1].write(chunk) : demux.feed(chunk)
        } catch (error) {
          end(new HatchwayError('ENGINE_ERROR', 'the container engine sent a broken stream', { cause: error }))
          return false
        }
      },
      end,
    })
    socket = started
    if (ended) started.destroy()
    setTimeout(leave, START_SETTLES_MS)

    if (!ended) {
      watch = setTimeout(() => {
        void hasStarted(api, execId, life.signal).then((running) => {
          if (!running) end(engineTimeout('the start of the program', startDeadline))
        })
      }, startDeadline)
    }

    const resizer = createResizer(api, execId, version.product === 'podman', life.signal)
    if (size !== undefined && !version.consoleSize && version.product !== 'podman') resizer.resize(size)

    return {
      stdin: createStdin(started, spec.tty !== undefined),
      resume: () => {
        if (!ended) started.resume()
      },
      exit: exit.promise,
      resize: resizer.resize,
      // No API signals one exec.
      signal: () => false,
      close() {
        if (life.signal.aborted) return
        life.abort(new Error('closed'))
        stop()
        started.destroy()
        exit.resolve({ signal: 'HUP', coreDumped: false })
      },
    }
  } catch (error) {
    leave()
    throw await notStarted(api, containerId, error, signal)
  }
}

/**
 * Docker answers 101 before it has started anything, and a container whose /etc/passwd is a FIFO keeps it there for
 * ever: an exec that has neither a process nor a code after the deadline will not start.
 */
async function hasStarted(api: DockerApi, execId: string, signal: AbortSignal): Promise<boolean> {
  try {
    const state = await api.json('GET', `/exec/${execId}/json`, { signal }, parseExecState)
    return state.started || state.code !== undefined
  } catch {
    // What became of the engine or the container, the stream's end will tell.
    return true
  }
}
