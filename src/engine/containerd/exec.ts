/** A program in a container's task: made, started and joined to its pipes. How it ends is exit.ts's. */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:os'
import { PassThrough } from 'node:stream'
import { oneLine } from '../../base/printable.ts'
import { unlessAborted } from '../../lifetime/on-abort.ts'
import type { Exec, ExecSpec, OutputSink } from '../engine.ts'
import { couldNotRun, engineLost, startFailure } from '../messages.ts'
import { createStdin } from '../stdin.ts'
import { isNotFound } from './api.ts'
import type { FifoSet } from './fifos.ts'
import { GrpcError } from './grpc.ts'
import type { ExecHost } from './host.ts'
import { encodeMessage } from './protobuf.ts'
import { joinProgram } from './running-program.ts'
import { execProcess } from './spec.ts'

const PROCESS_TYPE = 'types.containerd.io/opencontainers/runtime-spec/1/Process'
const KILL = 9

export async function startContainerdExec(
  host: ExecHost,
  containerId: string,
  spec: ExecSpec,
  sink: OutputSink,
  signal: AbortSignal,
): Promise<Exec> {
  const leave = await host.gate.enter(containerId, signal)
  let starting: Promise<void> | undefined
  try {
    const container = await host.containers.running(containerId, signal)
    const process = execProcess(container.spec, spec)
    const id = `hatchway-${randomBytes(12).toString('hex')}`
    const fifos = await host.fifos.take(labelOf(containerId, id), spec.tty !== undefined, signal)
    const since = Date.now()
    // A start that was begun is never broken off: half a program would be left, and the gate counts what is under way.
    starting = start(host, containerId, id, spec.tty !== undefined, process, fifos)
    starting.then(leave, leave)
    try {
      await unlessAborted(starting, signal)
    } catch (error) {
      void undo(host, containerId, id, starting, fifos)
      if (error instanceof GrpcError) return await notStarted(host, containerId, spec, sink, error, signal)
      throw error
    }
    return joinProgram(host, { containerId, id, spec, fifos, since, startedAt: container.startedAt }, sink)
  } finally {
    if (starting === undefined) leave()
  }
}

/** Neither part has an "@". */
function labelOf(containerId: string, id: string): string {
  return `${id}@${containerId}`
}

/** A program that a killed gateway has left is hung up; one that ignores that (nohup) is left alone. */
export async function endAbandoned({ api, closed }: Pick<ExecHost, 'api' | 'closed'>, label: string): Promise<void> {
  const [id = '', containerId = ''] = label.split('@')
  const at = { 1: containerId, 2: id }
  try {
    await api.call('kill', { ...at, 3: constants.signals.SIGHUP }, closed)
    await api.call('wait', at, closed)
  } catch {
    // It has ended, or goes on.
  }
  await api.call('deleteProcess', at, closed).catch(() => {})
}

async function start(
  { api, closed, startLimitMs }: ExecHost,
  containerId: string,
  id: string,
  terminal: boolean,
  process: object,
  { stdin, stdout, stderr }: FifoSet,
): Promise<void> {
  const spec = encodeMessage({ 1: PROCESS_TYPE, 2: Buffer.from(JSON.stringify(process)) })
  const stdio = { 2: stdin.path, 3: stdout.path, 4: stderr?.path }
  await api.call('exec', { 1: containerId, ...stdio, 5: terminal, 6: spec, 7: id }, closed)
  await api.call('start', { 1: containerId, 2: id }, closed, startLimitMs)
}

/** Whether it was started is known, or never will be; until then the pipes stay, as the shim waits at them otherwise. */
async function undo(
  { api, closed }: ExecHost,
  containerId: string,
  id: string,
  starting: Promise<void>,
  fifos: FifoSet,
): Promise<void> {
  const at = { 1: containerId, 2: id }
  try {
    await starting
      .catch(() => {})
      .then(() => api.call('kill', { ...at, 3: KILL }, closed))
      .then(() => api.call('wait', at, closed))
  } catch {
    // It does not run.
  }
  await api.call('deleteProcess', at, closed).catch(() => {})
  await fifos.close()
}

/** A program that cannot be run is an exit status and a line; what else went wrong is thrown. */
async function notStarted(
  { containers }: ExecHost,
  containerId: string,
  spec: ExecSpec,
  sink: OutputSink,
  error: GrpcError,
  signal: AbortSignal,
): Promise<Exec> {
  const about = { container: containers.name(containerId), user: spec.user }
  const failure = isNotFound(error) ? undefined : startFailure(error.message, spec.argv[0], spec.cwd, about)
  if (failure !== undefined && 'line' in failure) {
    const end = spec.tty === undefined ? '\n' : '\r\n'
    sink.write(spec.tty === undefined ? 2 : 1, Buffer.from(`${failure.line}${end}`))
    return endedExec(failure.code)
  }
  // What is wrong with the container, its own state tells best.
  await containers.running(containerId, signal)
  if (failure !== undefined) throw failure.error
  if (isNotFound(error)) throw engineLost(new Error(oneLine(error.message)))
  throw couldNotRun(error.message, about)
}

function endedExec(code: number): Exec {
  return {
    stdin: createStdin(new PassThrough().destroy(), false),
    exit: Promise.resolve({ code }),
    resume() {},
    resize() {},
    signal: () => false,
    close() {},
  }
}
