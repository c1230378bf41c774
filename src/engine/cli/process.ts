/** A running CLI as bytes: one shape for a child on pipes and a child on a terminal. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import type { WindowSize } from '../../base/program.ts'
import type { OutputFd } from '../engine.ts'
import { unreachable } from '../messages.ts'
import { createStdin } from '../stdin.ts'

export interface CliProcess {
  readonly stdin: Writable
  /** After the last output. `code` is undefined when the CLI was killed. */
  readonly ended: Promise<{ readonly code: number | undefined }>
  resume(): void
  resize(size: WindowSize): void
  /** Ends the child; idempotent. */
  kill(): void
}

export async function spawnOnPipes(
  binary: string,
  args: readonly string[],
  write: (fd: OutputFd, chunk: Buffer) => boolean,
): Promise<CliProcess> {
  const child = spawn(binary, args, { stdio: 'pipe' })
  const { stdin, stdout, stderr } = child
  stdin.on('error', () => {})
  const give = (fd: OutputFd) => (chunk: Buffer) => {
    if (write(fd, chunk)) return
    stdout.pause()
    stderr.pause()
  }
  stdout.on('data', give(1)).on('error', () => {})
  stderr.on('data', give(2)).on('error', () => {})
  const ended = new Promise<{ code: number | undefined }>((resolve) => {
    child.once('close', (code) => resolve({ code: code ?? undefined }))
  })
  try {
    await once(child, 'spawn')
  } catch (cause) {
    throw unreachable(`${binary} cannot be run`, cause)
  }
  child.on('error', () => {})
  const resume = () => {
    stdout.resume()
    stderr.resume()
  }
  return {
    stdin: createStdin(stdin, false),
    ended,
    resume,
    resize() {},
    kill() {
      // To its end, which is only told once all of it was read.
      resume()
      end((signal) => child.kill(signal), ended)
    },
  }
}

/** TERM lets a CLI say goodbye to its engine; one that hangs is killed. */
export function end(send: (signal: 'SIGTERM' | 'SIGKILL') => void, ended: Promise<unknown>): void {
  send('SIGTERM')
  const timer = setTimeout(() => send('SIGKILL'), 1000)
  void ended.then(() => clearTimeout(timer))
}
