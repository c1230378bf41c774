/**
 * A program in a container of a pod: one WebSocket through the API server and the kubelet to the container runtime. How the
 * program ended is the Status on the last channel; a stream that ends without one was torn, and that is never an exit code.
 */
import { Writable } from 'node:stream'
import type WebSocket from 'ws'
import type { HatchwayError } from '../../base/errors.ts'
import type { ExitStatus } from '../../base/program.ts'
import { deferred } from '../../lifetime/deferred.ts'
import type { KeyedSemaphore } from '../../lifetime/semaphore.ts'
import type { Exec, ExecSpec, OutputFd, OutputSink } from '../engine.ts'
import { couldNotRun, engineLost, startFailure } from '../messages.ts'
import { createStdin } from '../stdin.ts'
import { closeMessage, EXEC_STATUS, resizeMessage, STDERR, STDIN, STDOUT, stdinMessages, V5 } from './channels.ts'
import { openExecSocket } from './exec-socket.ts'
import { idOf } from './index.ts'
import { podsPath } from './list.ts'
import type { Pod } from './pods.ts'
import type { KubeRest } from './rest.ts'
import { parseExecEnd } from './status.ts'

export interface ExecPlace {
  readonly pod: Pod
  readonly container: string
  /** "main.web-0.shop" */
  readonly name: string
  /** The container beside it in which programs start in its place. */
  readonly beside?: string
}

export interface ExecServices {
  readonly rest: KubeRest
  readonly gate: KeyedSemaphore
  readonly startDeadlineMs: number
  readonly pingMs: number
  /** Calls `gone` when the pod is known to be gone. Returns what forgets it. */
  onGone(uid: string, gone: () => void): () => void
  /** Why a program ended that did not end by itself; undefined: it did, or nobody can tell. */
  whyEnded(place: ExecPlace): Promise<HatchwayError | undefined>
}

/** The start of a program counts as done at its first word, or after this: nothing tells. */
const START_SETTLES_MS = 400
/** After the Status the server closes at once; output that it sends behind it is waited for no longer. */
const CLOSE_MS = 2_000
/** A pod that is gone takes its stream with it; where the node hangs it does not. */
const GONE_MS = 3_000
const MAX_STATUS_BYTES = 64 * 1024
/** Go's HTTP servers take a head of 1 MiB. */
const MAX_QUERY_BYTES = 900_000

export async function startKubeExec(
  services: ExecServices,
  place: ExecPlace,
  spec: ExecSpec,
  sink: OutputSink,
  signal: AbortSignal,
): Promise<Exec> {
  signal.throwIfAborted()
  const path = `${podsPath(place.pod.namespace)}/${encodeURIComponent(place.pod.name)}/exec?${queryOf(place, spec)}`
  if (path.length > MAX_QUERY_BYTES) return tooLong(spec, sink)
  const leave = await services.gate.enter(idOf(place.pod, place.container), signal)
  const program = createProgram(services, place, spec, sink, leave)
  try {
    const socket = await openExecSocket(services.rest, {
      path,
      signal,
      deadlineMs: services.startDeadlineMs,
      pingMs: services.pingMs,
      message: program.message,
      closed: program.closed,
    })
    return program.started(socket)
  } catch (error) {
    leave()
    throw error
  }
}

function queryOf({ container, beside = container }: ExecPlace, { argv, tty }: ExecSpec): string {
  const query = new URLSearchParams()
  for (const word of argv) query.append('command', word)
  query.set('container', beside)
  query.set('stdin', 'true')
  query.set('stdout', 'true')
  // A terminal has one stream.
  query.set('stderr', String(tty === undefined))
  query.set('tty', String(tty !== undefined))
  return query.toString()
}

/** As the kernel answers it. */
function tooLong({ argv, tty }: ExecSpec, sink: OutputSink): Exec {
  const line = `hatchway: ${argv[0]}: argument list too long${tty ? '\r' : ''}\n`
  sink.write(tty ? 1 : 2, Buffer.from(line))
  return {
    stdin: new Writable({ write: (_chunk, _encoding, done) => done() }).on('error', () => {}),
    resume() {},
    exit: Promise.resolve({ code: 126 }),
    resize() {},
    signal: () => false,
    close() {},
  }
}

interface Program {
  message(data: Buffer): void
  closed(code: number): void
  started(socket: WebSocket): Exec
}

function createProgram(
  services: ExecServices,
  place: ExecPlace,
  spec: ExecSpec,
  sink: OutputSink,
  leave: () => void,
): Program {
  const exit = deferred<ExitStatus>()
  // An unhandled rejection must not kill a caller that closes before asking for `exit`.
  exit.promise.catch(() => {})
  const forget = services.onGone(place.pod.uid, () => {
    setTimeout(() => end(), GONE_MS).unref()
  })
  let socket: WebSocket | undefined
  let paused = false
  let ended = false
  let status = ''
  let closing: NodeJS.Timeout | undefined

  function output(fd: OutputFd, chunk: Buffer): void {
    leave()
    if (sink.write(fd, chunk)) return
    paused = true
    socket?.pause()
  }

  /** Nothing comes any more. */
  function end(closeCode?: number): void {
    if (ended) return
    ended = true
    release()
    exit.resolve(howEnded(services, place, spec, sink, status, closeCode))
    socket?.terminate()
  }

  function release(): void {
    clearTimeout(closing)
    leave()
    forget()
  }

  return {
    message(data) {
      if (ended) return
      const [channel] = data
      if (data.length < 2 || channel === undefined) return
      const rest = data.subarray(1)
      if (channel === STDOUT) output(1, rest)
      else if (channel === STDERR) output(spec.tty ? 1 : 2, rest)
      else if (channel === EXEC_STATUS && status.length + rest.length <= MAX_STATUS_BYTES) {
        status += rest.toString('utf8')
        if (parseExecEnd(status) === undefined) return
        leave()
        closing ??= setTimeout(() => end(), CLOSE_MS)
      }
    },

    closed: end,

    started(opened) {
      socket = opened
      if (ended) opened.terminate()
      else if (paused) opened.pause()
      setTimeout(leave, START_SETTLES_MS).unref()
      if (spec.tty && spec.tty.cols > 0 && spec.tty.rows > 0 && !ended) opened.send(resizeMessage(spec.tty))
      return {
        stdin: createStdin(inputOf(opened), spec.tty !== undefined),
        resume() {
          if (!paused || ended) return
          paused = false
          opened.resume()
        },
        exit: exit.promise,
        resize(size) {
          if (!ended && spec.tty) opened.send(resizeMessage(size))
        },
        // No API signals one exec.
        signal: () => false,
        close() {
          if (ended) return
          ended = true
          release()
          opened.terminate()
          exit.resolve({ signal: 'HUP', coreDumped: false })
        },
      }
    },
  }
}

/** The program's stdin as messages; a write is done when its last one has left. */
function inputOf(socket: WebSocket): Writable {
  const input = new Writable({
    write(chunk: Buffer, _encoding, done) {
      let left = 1
      const sent = () => {
        if (--left === 0) done()
      }
      for (const message of stdinMessages(chunk)) {
        left++
        // A socket that is closed calls back with an error: the program's end is told elsewhere.
        socket.send(message, sent)
      }
      sent()
    },
    final(done) {
      // The older protocol cannot say that stdin is over: the program's stdin stays open (docs/kubernetes.md).
      if (socket.protocol === V5) socket.send(closeMessage(STDIN), () => done())
      else done()
    },
  })
  input.on('error', () => {})
  socket.on('close', () => input.destroy())
  return input
}

async function howEnded(
  services: ExecServices,
  place: ExecPlace,
  spec: ExecSpec,
  sink: OutputSink,
  status: string,
  closeCode: number | undefined,
): Promise<ExitStatus> {
  const found = parseExecEnd(status)
  if (found === undefined) {
    const cause = new Error(
      `the exec's stream was cut${closeCode === undefined ? '' : ` (${closeCode})`}, without a status`,
    )
    throw (await services.whyEnded(place)) ?? engineLost(cause)
  }
  if ('code' in found) {
    // Everything in a container dies by SIGKILL with its first process; a program may also have been killed alone.
    const why = found.code === 137 ? await services.whyEnded(place) : undefined
    if (why) throw why
    return found
  }
  const about = { container: place.name, user: spec.user }
  const failure = startFailure(found.failure, spec.argv[0], spec.cwd, about)
  if (failure === undefined) throw (await services.whyEnded(place)) ?? couldNotRun(found.failure, about)
  if ('error' in failure) throw failure.error
  sink.write(spec.tty ? 1 : 2, Buffer.from(`${failure.line}${spec.tty ? '\r' : ''}\n`))
  return { code: failure.code }
}
