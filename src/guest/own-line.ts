/** An SFTP server whose bytes go over a connection of its own: the helper is no relay then, as sshd has none. */

import type { Writable } from 'node:stream'
import { HatchwayError } from '../base/errors.ts'
import type { ExitStatus, WindowSize } from '../base/program.ts'
import type { OutputSink } from '../engine/engine.ts'
import { createStdin } from '../engine/stdin.ts'
import { openDeadline } from '../lifetime/deadline.ts'
import { unlessAborted } from '../lifetime/on-abort.ts'
import type { DirectLine, Door } from './direct.ts'
import { type GuestExec, GuestRefusal } from './guest.ts'
import type { HelperProgram } from './program.ts'

/** The helper wrote the token before it said so. */
const ARRIVAL_MS = 5000

/**
 * Frames have its log, its end and CLOSE, the line all else. A server that gives up while its client still sends (malformed
 * packets) may lose its last answers: a write that fails ends a socket both ways.
 */
class LinedProgram implements GuestExec {
  readonly stdin: Writable
  readonly exit: Promise<ExitStatus>
  readonly #program: HelperProgram
  readonly #line: DirectLine

  constructor(program: HelperProgram, line: DirectLine, sink: OutputSink) {
    const { socket } = line
    this.#program = program
    this.#line = line
    this.stdin = createStdin(socket, false)
    const closed = new Promise<void>((resolve) => socket.once('close', resolve))
    this.exit = Promise.all([program.exit, closed]).then(([status]) => status)
    this.exit.catch(() => socket.destroy())
    line.listen((chunk) => sink.write(1, chunk))
  }

  resume(): void {
    this.#program.resume()
    this.#line.socket.resume()
  }

  resize(size: WindowSize): void {
    this.#program.resize(size)
  }

  signal(name: string): boolean {
    return this.#program.signal(name)
  }

  onUnread(listener: () => void): void {
    this.#program.onUnread(listener)
  }

  close(): void {
    this.#program.close()
    this.#line.socket.destroy()
  }
}

/** `start` a server that may have a line of its own through the door, and join the two where it took it. */
export async function startLined(
  door: Door | undefined,
  start: (token: Buffer | undefined) => Promise<HelperProgram>,
  sink: OutputSink,
  signal: AbortSignal,
): Promise<GuestExec> {
  const expected = door?.expect()
  let joined = false
  try {
    const program = await start(expected?.token)
    if (expected === undefined || !program.hasLine) return program
    const exec = await joinLine(program, expected.line, sink, signal)
    joined = true
    return exec
  } finally {
    if (!joined) expected?.withdraw()
  }
}

/** @throws GuestRefusal where the line does not come; the program is closed then */
async function joinLine(
  program: HelperProgram,
  coming: Promise<DirectLine>,
  sink: OutputSink,
  signal: AbortSignal,
): Promise<GuestExec> {
  const limit = openDeadline(ARRIVAL_MS, signal)
  try {
    // A helper that ends meanwhile says why by the program's exit.
    const line = await unlessAborted(Promise.race([coming, program.exit.then(() => coming)]), limit.signal)
    return new LinedProgram(program, line, sink)
  } catch (error) {
    program.close()
    if (signal.aborted) throw signal.reason
    throw error instanceof HatchwayError ? error : new GuestRefusal('resources', 'ETIMEDOUT', 'sftp')
  } finally {
    limit.release()
  }
}
