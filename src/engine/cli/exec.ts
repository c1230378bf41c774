/** `docker exec -i[t]` as an Exec: the CLI's exit code is the program's, and its own words are told apart from it. */

import { PassThrough } from 'node:stream'
import { type FailureCode, HatchwayError, isFailure } from '../../base/errors.ts'
import { oneLine } from '../../base/printable.ts'
import type { ExitStatus } from '../../base/program.ts'
import { deferred } from '../../lifetime/deferred.ts'
import type { KeyedSemaphore } from '../../lifetime/semaphore.ts'
import { whyEnded } from '../ending.ts'
import type { Container, Exec, ExecSpec, OutputFd, OutputSink } from '../engine.ts'
import {
  engineLost,
  isUnreachable,
  mayBeStartFailure,
  notRunning,
  START_FAILURE_TEXTS,
  startFailure,
  withoutAttachNoise,
} from '../messages.ts'
import { createStdin } from '../stdin.ts'
import { createTextGate, type TextGate } from '../text-gate.ts'
import { recentCliEvents } from './events.ts'
import { type CliFlavour, execArguments } from './flavour.ts'
import { spawnOnPipes } from './process.ts'
import { spawnOnTerminal } from './pty.ts'
import { type Cli, cliMessage } from './run.ts'

export interface CliExecRequest {
  readonly cli: Cli
  readonly flavour: CliFlavour
  readonly gate: KeyedSemaphore
  /** Of the engine: what its close() must end, and the container that each runs in. */
  readonly closers: Map<() => void, string>
  name(containerId: string): string
  inspect(ref: string, signal: AbortSignal): Promise<Container>
  readonly containerId: string
  readonly spec: ExecSpec
  readonly sink: OutputSink
  readonly signal: AbortSignal
}

/** A start counts as done at its first output, or after this: nothing tells. */
const START_SETTLES_MS = 400
/** MAX_ARG_STRLEN of Linux. */
const LONGEST_ARGUMENT_BYTES = 128 * 1024

export async function startCliExec(request: CliExecRequest): Promise<Exec> {
  const { cli, flavour, spec, sink, signal, closers } = request
  const leave = await request.gate.enter(request.containerId, signal)
  const since = Date.now()
  // A terminal carries both the engine's in-band words and the CLI's own.
  const texts = [...flavour.errors, ...START_FAILURE_TEXTS]
  let spoke = false
  const forward = (fd: OutputFd) => (chunk: Buffer) => {
    spoke = true
    return sink.write(fd, chunk)
  }
  const gates = {
    1: createTextGate(forward(1), spec.tty === undefined ? START_FAILURE_TEXTS : texts, spec.tty !== undefined),
    2: createTextGate(forward(2), texts, true),
  }
  const args = cli.argv(execArguments(flavour, request.containerId, spec))
  if (args.some((text) => Buffer.byteLength(text) >= LONGEST_ARGUMENT_BYTES)) {
    leave()
    return tooLong(spec, sink)
  }
  const life = new AbortController()
  const take = (fd: OutputFd, chunk: Buffer) => {
    leave()
    return life.signal.aborted || gates[fd].write(chunk)
  }
  try {
    const child =
      spec.tty === undefined
        ? await spawnOnPipes(cli.binary, args, take)
        : spawnOnTerminal(cli.binary, args, spec.tty, (chunk) => take(1, chunk))
    setTimeout(leave, START_SETTLES_MS)

    const closed = deferred<ExitStatus>()
    const close = () => {
      if (life.signal.aborted) return
      life.abort(new Error('closed'))
      for (const gate of [gates[1], gates[2]]) gate.drop()
      child.kill()
      closed.resolve({ signal: 'HUP', coreDumped: false })
    }
    closers.set(close, request.containerId)
    const ended = child.ended.then(async ({ code }): Promise<ExitStatus> => {
      leave()
      closers.delete(close)
      if (life.signal.aborted) return closed.promise
      return await execEnded({ ...request, signal: life.signal }, [gates[1], gates[2]], since, code, spoke)
    })
    const exit = Promise.race([closed.promise, ended])
    exit.catch(() => {})
    return {
      stdin: child.stdin,
      resume: child.resume,
      exit,
      resize: child.resize,
      // The CLI passes no signals on.
      signal: () => false,
      close,
    }
  } catch (error) {
    leave()
    throw error
  }
}

/** The kernel would refuse to run the CLI itself. */
function tooLong(spec: ExecSpec, sink: OutputSink): Exec {
  const line = `hatchway: ${oneLine(spec.argv[0], 100)}: argument list too long`
  sink.write(spec.tty === undefined ? 2 : 1, Buffer.from(`${line}${spec.tty === undefined ? '' : '\r'}\n`))
  return {
    stdin: createStdin(new PassThrough().destroy(), false),
    exit: Promise.resolve({ code: 126 }),
    resume() {},
    resize() {},
    signal: () => false,
    close() {},
  }
}

async function execEnded(
  request: CliExecRequest,
  gates: readonly TextGate[],
  since: number,
  code: number | undefined,
  spoke: boolean,
): Promise<ExitStatus> {
  for (const gate of gates) gate.freeze()
  const { spec, sink, flavour } = request
  try {
    if (code === undefined) throw engineLost(new Error(`${request.cli.binary} was killed`))
    const held = gates.map((gate) => gate.held()).find((text) => text !== undefined)
    if (held !== undefined && code !== 0) {
      const line = await ownWords(request, since, held, code, spoke)
      if (line !== undefined) {
        for (const gate of gates) gate.drop()
        sink.write(spec.tty === undefined ? 2 : 1, Buffer.from(`${line.text}${spec.tty === undefined ? '' : '\r'}\n`))
        return { code: line.code }
      }
    }
    if (flavour.goneCodes.includes(code)) {
      const why = await whyContainerEnded(request, since)
      if (why !== undefined) throw why
    }
    return { code }
  } catch (error) {
    if (error instanceof HatchwayError) for (const gate of gates) gate.drop()
    throw error
  } finally {
    for (const gate of gates) gate.release()
  }
}

/**
 * Are these the engine's or the CLI's words? Throws what they mean, gives the line for the user, or undefined when the
 * program wrote them: `docker` may well run inside the container, so words alone prove nothing and the engine is asked.
 */
async function ownWords(
  request: CliExecRequest,
  since: number,
  held: string,
  code: number,
  spoke: boolean,
): Promise<{ text: string; code: number } | undefined> {
  const { spec, containerId, flavour } = request
  const text = cliMessage(withoutAttachNoise(held))
  const about = { container: request.name(containerId), user: spec.user }
  // 255 is Podman's for everything but 125 to 127.
  if (code === 255 || mayBeStartFailure(text, code)) {
    const failure = startFailure(text, spec.argv[0], spec.cwd, about)
    if (failure !== undefined && 'line' in failure) return { text: failure.line, code: failure.code }
    // What is wrong with the container, the container's own state tells better (below).
    if (failure && OF_THE_EXEC.includes(failure.error.code)) throw failure.error
  }
  if (!flavour.errors.some((prefix) => held.startsWith(prefix))) return undefined
  if (spoke || /no such exec instance|already been removed/i.test(text)) {
    const why = await whyContainerEnded(request, since)
    if (why !== undefined) throw why
    if (/no such exec instance/i.test(text)) throw engineLost(new Error(text))
  }
  let container: Container
  try {
    container = await request.inspect(containerId, request.signal)
  } catch (error) {
    if (error instanceof HatchwayError && isUnreachable(text)) throw error
    throw isFailure(error, 'CONTAINER_NOT_FOUND') ? error : engineLost(error)
  }
  const state = notRunning(text, container.name)
  if (container.state !== 'running')
    throw notRunning(`is ${container.state}`, container.name) ?? state ?? engineLost(held)
  // It runs by now, but these words name it: it was between two starts. Of another container, they are the program's.
  if (state !== undefined && (text.includes(containerId) || text.includes(about.container))) throw state
  return undefined
}

/** What goes wrong with an exec and tells nothing of its container. */
const OF_THE_EXEC: readonly FailureCode[] = ['USER_NOT_FOUND', 'TERMINAL_MISSING', 'ENGINE_ERROR']

function whyContainerEnded(request: CliExecRequest, since: number): Promise<HatchwayError | undefined> {
  const { cli, flavour, containerId, signal } = request
  return whyEnded({
    stopIsToldLate: flavour.product === 'podman',
    name: request.name(containerId),
    since,
    inspect: () => request.inspect(containerId, signal),
    recentEvents: () => recentCliEvents(cli, flavour, containerId, since, signal),
  })
}
