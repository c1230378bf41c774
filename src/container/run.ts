/** Run a session's program: by the guest helper where there is one, else on the plain road. */

import { HatchwayError, isFailure } from '../base/errors.ts'
import type { Container, Exec, OutputSink } from '../engine/engine.ts'
import { terminalMissing } from '../engine/messages.ts'
import { type Guest, GuestRefusal, type GuestTty } from '../guest/guest.ts'
import { brief } from './find.ts'
import { lineDiscipline } from './no-terminal.ts'
import type { PlainRoad, PlainUser } from './plain.ts'
import { type SessionProgram, shellArgv } from './program.ts'
import { standIn } from './stand-in.ts'

/** execve(2): no such program, or none that may be run. */
const ABSENT = ['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP', 'ENOEXEC']

export interface SessionPlace {
  readonly road: PlainRoad
  readonly container: Container
  readonly user: PlainUser
  /** Absent: no helper could be had, or none is wanted. */
  readonly guest: Guest | undefined
  readonly killTree: boolean
}

export interface ProgramRun {
  readonly place: SessionPlace
  readonly program: SessionProgram
  readonly tty: GuestTty | undefined
  readonly sink: OutputSink
  readonly signal: AbortSignal
}

/**
 * Where the container has no terminal to give, the program runs without one, as with sshd, and a line says so.
 *
 * @throws HatchwayError SHELL_MISSING, GUEST_FAILED, CONTAINER_*, ENGINE_*
 */
export async function runProgram(run: ProgramRun): Promise<Exec> {
  try {
    return await runOnARoad(run)
  } catch (error) {
    if (!isFailure(error, 'TERMINAL_MISSING')) throw error
    const { program, sink } = run
    sink.write(2, Buffer.from(`hatchway: ${error.message}: the session goes on without one\r\n`))
    const lines = lineDiscipline(sink)
    // session.c, session_pty_req: what was asked of the terminal is forgotten, its name too.
    const env = program.env.filter((entry) => !entry.startsWith('TERM='))
    return lines.join(await runOnARoad({ ...run, program: { ...program, env }, tty: undefined, sink: lines.sink }))
  }
}

async function runOnARoad(run: ProgramRun): Promise<Exec> {
  const { place, program, tty, sink, signal } = run
  if (place.guest) {
    try {
      return await runInGuest(place.guest, run)
    } catch (error) {
      if (error instanceof GuestRefusal && error.stage === 'pty') throw terminalMissing(place.container.name, error)
      // A container at its pids limit may have room for one process more without the helper's fork.
      if (!(error instanceof GuestRefusal && error.exhausted)) throw refusalAsFailure(error)
    }
  }
  const help = program.restricted ? undefined : standIn(program.command, program.shell)
  const plain = help ? { ...program, command: help.command } : program
  return place.road.run(place.container, place.user, plain, tty, sink, signal)
}

async function runInGuest(guest: Guest, { place, program, tty, sink, signal }: ProgramRun): Promise<Exec> {
  const { env, cwd, cwdWarning } = program
  const spawn = (path: string, argv: readonly (string | Buffer)[], standIn = false) =>
    guest.spawn(
      { program: path, argv, env, cwd, cwdWarning, killTree: place.killTree, standIn, ...(tty && { tty }) },
      sink,
      signal,
    )
  for (const shell of [program.shell, ...program.fallbackShells]) {
    // A restricted shell gets the client's own bytes, whatever it is called.
    const help = program.restricted ? undefined : standIn(program.command, shell)
    const argv = shellArgv(help ? { ...program, command: help.command } : program, shell)
    try {
      return await spawn(shell, argv, help?.wantsHelper)
    } catch (error) {
      if (!(error instanceof GuestRefusal && error.stage === 'exec' && !error.exhausted)) throw error
      // A shell that is there and did not run (E2BIG: 128 KiB is the kernel's limit for one argument) is not missing.
      if (!ABSENT.includes(error.errno)) {
        const why = error.errno === 'E2BIG' ? 'argument list too long' : error.errno
        throw new HatchwayError('COMMAND_NOT_EXECUTABLE', `${shell}: ${why}`, { cause: error })
      }
    }
  }
  if (program.restricted) {
    const message = `${brief(program.shell)}, the shell of this user, is not in container ${place.container.name}`
    throw new HatchwayError('SHELL_MISSING', message)
  }
  // No shell at all (distroless): a command that a shell would only split at its blanks runs without one.
  const [path, ...rest] = plainWords(program.command) ?? []
  if (path === undefined) {
    throw new HatchwayError(
      'SHELL_MISSING',
      `no shell in container ${place.container.name}; a plain command (ssh ... /path/program arguments), sftp and forwards work`,
    )
  }
  try {
    return await spawn(path, [path, ...rest])
  } catch (error) {
    if (!(error instanceof GuestRefusal && error.stage === 'exec')) throw error
    const missing = error.errno === 'ENOENT'
    const why = missing ? 'not found in this container, which has no shell' : `cannot be executed (${error.errno})`
    throw new HatchwayError(missing ? 'COMMAND_NOT_FOUND' : 'COMMAND_NOT_EXECUTABLE', `${brief(path)}: ${why}`, {
      cause: error,
    })
  }
}

/** The words of a command in which nothing means anything to a shell but blanks. */
export function plainWords(command: Buffer | undefined): string[] | undefined {
  const text = command?.toString().trim()
  return text && /^[\w\-./,:=@%+ ]+$/.test(text) && !/^\w+=/.test(text) ? text.split(/ +/) : undefined
}

function refusalAsFailure(error: unknown): unknown {
  if (!(error instanceof GuestRefusal)) return error
  return new HatchwayError('GUEST_FAILED', `the container refused to start a process: ${error.errno}`, { cause: error })
}
