/**
 * A program that was started: its pipes, its size, its signals, its end. The pipes lead to the container's shim and not to
 * containerd, so that a restart of containerd is felt by none of them.
 */
import net from 'node:net'
import { constants } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { isFailure } from '../../base/errors.ts'
import type { ExitStatus, WindowSize } from '../../base/program.ts'
import { anyOf } from '../../lifetime/deadline.ts'
import { deferred } from '../../lifetime/deferred.ts'
import { isAway, whyEnded } from '../ending.ts'
import type { Exec, ExecSpec, OutputFd, OutputSink } from '../engine.ts'
import type { ParsedEvent } from '../json.ts'
import { engineLost, mayBeStartFailure, startFailure } from '../messages.ts'
import { createStdin } from '../stdin.ts'
import { createTextGate } from '../text-gate.ts'
import { isNotFound } from './api.ts'
import type { FifoSet } from './fifos.ts'
import type { ExecHost, RunningProgram } from './host.ts'
import { type FifoOutput, readFifo } from './output.ts'

/**
 * A program that was let go of has this long for its end: by the end of its input, or by what the plain road's signaller does,
 * which has to find it alive (container/plain.ts). Then it is hung up.
 */
const HANG_UP_AFTER_MS = 5_000
/** What a program has left behind may hold its output open for ever. As long as Docker waits for more. */
const QUIET_MS = 2_000
/** containerd may be restarted, also for longer: a program whose output is over waits no longer for its exit code. */
const AWAY_MS = 30_000
const ASK_EVERY_MS = 15_000
const DELETE_MS = 30_000
/** The beginnings of what runc's last step says, whose code is 1. */
const RUNTIME_TEXTS = ['exec /', 'exec: ']
const RUNTIME_FAILED = 1
/** 128 and the signal's number. */
const KILLED = 137
const TERMINATED = 143

export interface StartedProgram {
  readonly containerId: string
  readonly id: string
  readonly spec: ExecSpec
  readonly fifos: FifoSet
  /** Milliseconds since the epoch. */
  readonly since: number
  /** Of the container's run. */
  readonly startedAt: string
}

export function joinProgram(host: ExecHost, program: StartedProgram, sink: OutputSink): Exec {
  const { api } = host
  const { containerId, id, spec, fifos } = program
  const at = { 1: containerId, 2: id }
  const over = new AbortController()
  const life = anyOf(host.closed, over.signal)
  const exit = deferred<ExitStatus>()
  // An unhandled rejection must not kill a caller that closes before asking for `exit`.
  exit.promise.catch(() => {})
  const outputsEnded = deferred()
  const enough = deferred()
  let openOutputs = 0
  let exited = false
  let refused = false
  let letGo = false
  let discarding = false
  let quiet: NodeJS.Timeout | undefined
  let hangUpTimer: NodeJS.Timeout | undefined

  fifos.handOver()
  // Both sides have them open: nothing is left where the gateway is killed.
  void fifos.unlink()

  const input = new net.Socket({ fd: fifos.stdin.fd, readable: false, writable: true })
  // Of a closed descriptor.
  input.on('error', () => {})
  input.once('close', () => {
    // The shim keeps the pipe open for whoever comes back to it; on a terminal the end of input is a byte.
    if (spec.tty === undefined && !exited) void insist(() => api.call('closeIo', { ...at, 3: true }, life), life)
  })

  const gate = (fd: OutputFd) => createTextGate((chunk) => sink.write(fd, chunk), RUNTIME_TEXTS)
  const gates = { 1: gate(1), 2: gate(2) }
  const output = (fd: OutputFd, descriptor: number): FifoOutput => {
    openOutputs++
    return readFifo(
      descriptor,
      (chunk) => {
        if (letGo) return discarding
        if (!gates[fd].write(chunk)) refused = true
        waitForMore()
        return !refused
      },
      () => {
        openOutputs--
        if (openOutputs === 0) outputsEnded.resolve()
      },
    )
  }
  const outputs = [output(1, fifos.stdout.fd), ...(fifos.stderr ? [output(2, fifos.stderr.fd)] : [])]

  /** A program has ended: what it wrote is still read, for as long as something comes or nobody takes it. */
  function waitForMore(): void {
    clearTimeout(quiet)
    if (exited && !refused) quiet = setTimeout(enough.resolve, QUIET_MS)
  }

  const resumeAll = () => {
    for (const one of outputs) one.resume()
  }

  function send(signal: number, limit: AbortSignal = life): Promise<void> {
    return insist(() => api.call('kill', { ...at, 3: signal }, limit), limit)
  }

  async function hangUp(limit: AbortSignal = life): Promise<void> {
    clearTimeout(hangUpTimer)
    if (exited) return
    await send(constants.signals.SIGHUP, limit)
    // What ignores that writes to nobody, and is not stopped by it.
    discarding = true
    resumeAll()
  }

  function close(): void {
    if (letGo || over.signal.aborted) return
    letGo = true
    for (const one of [gates[1], gates[2]]) {
      one.freeze()
      one.drop()
    }
    exit.resolve({ signal: 'HUP', coreDumped: false })
    input.destroy()
    enough.resolve()
    hangUpTimer = setTimeout(() => void hangUp(), HANG_UP_AFTER_MS).unref()
  }

  const running: RunningProgram = {
    containerId,
    async end(limit) {
      close()
      await hangUp(limit)
    },
  }

  async function live(): Promise<void> {
    try {
      const code = await Promise.race([waitForExit(host, program, life, outputsEnded.promise), hangs()])
      exited = true
      input.destroy()
      waitForMore()
      await Promise.race([outputsEnded.promise, enough.promise])
      if (!letGo) exit.resolve(ownWords(code) ?? (await statusOf(host, program, code)))
    } catch (error) {
      if (!letGo) for (const one of [gates[1], gates[2]]) one.release()
      exit.reject(error)
    } finally {
      exited = true
      for (const one of [gates[1], gates[2]]) one.freeze()
      over.abort()
      clearTimeout(quiet)
      clearTimeout(hangUpTimer)
      input.destroy()
      for (const one of outputs) one.close()
      host.programs.delete(running)
      void fifos.close()
      await api.call('deleteProcess', at, host.closed, DELETE_MS).catch(() => {})
    }
  }

  /** The runtime's last step before the program says what failed where the program would have. */
  function ownWords(code: number): ExitStatus | undefined {
    const fd = spec.tty === undefined ? 2 : 1
    gates[fd].freeze()
    const held = gates[fd].held()
    const about = { container: host.containers.name(containerId) }
    const failure =
      held !== undefined && code === RUNTIME_FAILED && mayBeStartFailure(held, code)
        ? startFailure(held, spec.argv[0], spec.cwd, about)
        : undefined
    if (failure === undefined || !('line' in failure)) {
      for (const one of [gates[1], gates[2]]) one.release()
      return undefined
    }
    gates[fd].drop()
    sink.write(fd, Buffer.from(`${failure.line}${fd === 1 ? '\r' : ''}\n`))
    return { code: failure.code }
  }

  /** The output is over, and nobody tells of the end: either the program closed it itself, or containerd hangs. */
  async function hangs(): Promise<never> {
    await outputsEnded.promise
    for (;;) {
      await delay(ASK_EVERY_MS, undefined, { signal: life, ref: false })
      await api.call('version', {}, life).catch((error: unknown) => {
        if (isFailure(error, 'ENGINE_TIMEOUT')) throw error
      })
    }
  }

  host.programs.add(running)
  void live()
  const resize = createResize((size) => api.call('resize', { ...at, 3: size.cols, 4: size.rows }, life))

  return {
    stdin: createStdin(input, spec.tty !== undefined),
    exit: exit.promise,
    resume() {
      if (letGo) return
      refused = false
      waitForMore()
      resumeAll()
    },
    resize: (size) => {
      if (spec.tty !== undefined && !exited) resize(size)
    },
    signal(name) {
      const number = Object.entries(constants.signals).find(([known]) => known === `SIG${name}`)?.[1]
      if (number === undefined || exited) return false
      void send(number)
      return true
    },
    close,
  }
}

/** What a program has to be told while containerd is restarted, or hangs, it is told later. Never fails. */
async function insist(call: () => Promise<unknown>, signal: AbortSignal): Promise<void> {
  for (let pause = 100; !signal.aborted; pause = Math.min(pause * 2, 2_000)) {
    try {
      await call()
      return
    } catch (error) {
      if (!isAway(error) && !isFailure(error, 'ENGINE_TIMEOUT')) return
      await delay(pause, undefined, { signal, ref: false }).catch(() => {})
    }
  }
}

/** One at a time; the last of those that came meanwhile is next. */
function createResize(send: (size: WindowSize) => Promise<unknown>): (size: WindowSize) => void {
  let wanted: WindowSize | undefined
  let busy = false
  const run = async () => {
    busy = true
    while (wanted !== undefined) {
      const size = wanted
      wanted = undefined
      await send(size).catch(() => {})
    }
    busy = false
  }
  return (size) => {
    wanted = size
    if (!busy) void run()
  }
}

/** containerd that was restarted knows the program again: asked anew, it tells. */
async function waitForExit(
  host: ExecHost,
  program: StartedProgram,
  signal: AbortSignal,
  outputsEnded: Promise<void>,
): Promise<number> {
  const { containerId, id } = program
  let endedAt = Number.POSITIVE_INFINITY
  void outputsEnded.then(() => {
    endedAt = performance.now()
  })
  for (let pause = 100; ; pause = Math.min(pause * 2, 2_000)) {
    try {
      return (await host.api.call('wait', { 1: containerId, 2: id }, signal, Number.POSITIVE_INFINITY)).number(1)
    } catch (error) {
      // Forgotten: its container is gone, and took it along.
      if (isNotFound(error)) return KILLED
      if (!isAway(error)) throw (await whyContainerEnded(host, program)) ?? engineLost(error)
      if (performance.now() - endedAt > AWAY_MS) throw engineLost(error)
      await delay(pause, undefined, { signal })
    }
  }
}

/** Everything in a container dies by SIGKILL with its first process; a program may also have been killed alone. */
async function statusOf(host: ExecHost, program: StartedProgram, code: number): Promise<ExitStatus> {
  const why = code === KILLED ? await whyContainerEnded(host, program) : undefined
  if (why !== undefined) throw why
  return { code }
}

function whyContainerEnded({ containers, closed }: ExecHost, program: StartedProgram) {
  const { containerId, since, startedAt } = program
  return whyEnded({
    name: containers.name(containerId),
    since,
    // Two clocks are compared where it is not said which run it is.
    async inspect() {
      const now = await containers.inspect(containerId, closed)
      const isSameRun = now.startedAt === startedAt
      return { ...now, startedAt: new Date(isSameRun ? 0 : Date.now()).toISOString() }
    },
    recentEvents: () =>
      containers.inspect(containerId, closed).then(
        ({ state, exitCode, id }) => lastEvents(state, exitCode, id),
        () => [],
      ),
  })
}

/**
 * containerd keeps no events: how its first process ended is all that is told. A program that handles TERM ends with 0, as one
 * that had nothing more to do.
 */
function lastEvents(state: string, exitCode: number, id: string): ParsedEvent[] {
  if (state !== 'exited') return []
  if (exitCode === KILLED) return [{ id, action: 'kill', signal: 'KILL' }]
  return exitCode === TERMINATED || exitCode === 0 ? [{ id, action: 'stop' }] : [{ id, action: 'die' }]
}
