/** One program through an engine, with everything it said. */

import { HatchwayError } from '../../src/base/errors.ts'
import type { ExitStatus } from '../../src/base/program.ts'
import type { Engine, Exec, ExecSpec } from '../../src/engine/engine.ts'
import { execIn } from '../../src/engine/exec-in.ts'
import type { Ground } from './contract-bench.ts'

const PIDS = '/tmp/hw-endless'

/**
 * A shell program that would run for ever: no engine ends an exec with its client, and Podman's conmon goes on reading what
 * it says, a whole CPU long. What calls this calls endEndless() at last.
 */
export function endless(script: string): ExecSpec['argv'] {
  return ['sh', '-c', `echo $$ >>${PIDS}; ${script}`]
}

export async function endEndless(ground: Ground, id: string): Promise<void> {
  await ground.control('exec', id, 'sh', '-c', `while read pid; do kill -9 $pid; done <${PIDS}; rm ${PIDS}`)
}

/** Root, as this engine is told of it; of one that cannot be told, the container's own user. */
export function rootOf({ carries }: Engine): string {
  return carries?.user === 'none' ? '' : carries?.user === 'numeric' ? '0:0' : '0'
}

export interface RunRequest {
  readonly user?: string
  readonly cwd?: string
  readonly env?: readonly string[]
  readonly tty?: ExecSpec['tty']
  /** Written and then closed; undefined closes stdin at once, null leaves it open. */
  readonly stdin?: Buffer | string | null
  readonly during?: (exec: Exec, output: Output) => void | Promise<void>
  /** Milliseconds until the program is closed. */
  readonly limit?: number
}

export interface Output {
  readonly out: () => Buffer
  readonly err: () => Buffer
}

export interface Ran {
  readonly status: ExitStatus | undefined
  readonly error: HatchwayError | undefined
  readonly out: Buffer
  readonly err: Buffer
  readonly text: string
}

export async function runIn(
  engine: Engine,
  id: string,
  argv: ExecSpec['argv'],
  request: RunRequest = {},
): Promise<Ran> {
  const chunks: Record<1 | 2, Buffer[]> = { 1: [], 2: [] }
  const output: Output = { out: () => Buffer.concat(chunks[1]), err: () => Buffer.concat(chunks[2]) }
  const sink = {
    write(fd: 1 | 2, chunk: Buffer) {
      chunks[fd].push(Buffer.from(chunk))
      return true
    },
  }
  const spec: ExecSpec = {
    argv,
    user: request.user ?? rootOf(engine),
    cwd: request.cwd ?? '/',
    env: request.env ?? [],
    ...(request.tty && { tty: request.tty }),
  }
  const done = (status: ExitStatus | undefined, error: HatchwayError | undefined): Ran => {
    return { status, error, out: output.out(), err: output.err(), text: output.out().toString() }
  }
  let exec: Exec | undefined
  let timer: NodeJS.Timeout | undefined
  try {
    exec = await execIn(engine, id, spec, sink, AbortSignal.timeout(60_000))
    const running = exec
    timer = setTimeout(() => running.close(), request.limit ?? 25_000)
    const { stdin = request.tty ? null : '' } = request
    if (stdin !== null) running.stdin.end(stdin)
    const [status] = await Promise.all([running.exit, request.during?.(running, output)])
    return done(status, undefined)
  } catch (error) {
    if (!(error instanceof HatchwayError)) throw error
    return done(undefined, error)
  } finally {
    clearTimeout(timer)
    exec?.close()
  }
}
