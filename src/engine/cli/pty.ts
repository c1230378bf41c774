/**
 * A CLI on a terminal of node-pty. Four things are taken into our own hands (node-pty 1.1, unixTerminal.js):
 * - its write() has no backpressure and spins the event loop while the terminal is full;
 * - it destroys the terminal 200 ms after the child's end, read or not, so a paused terminal would lose its last output;
 * - libuv takes a hang-up for the end of file after one short read, and a terminal's reads are always short (4 KiB);
 * - the terminal must be raw before the CLI makes it so, or early input is echoed and its CR translated.
 */

import { readSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Writable } from 'node:stream'
import { ReadStream } from 'node:tty'
import { HatchwayError, isErrno } from '../../base/errors.ts'
import type { WindowSize } from '../../base/program.ts'
import { unreachable } from '../messages.ts'
import { createStdin } from '../stdin.ts'
import { type CliProcess, end } from './process.ts'

const load = createRequire(import.meta.url)

/** Well under node-pty's 200 ms. */
const WATCH_PAUSED_MS = 50
const RETRY_FULL_MS = 5
const YOUNG_MS = 5000
const POKE_AFTER_MS = 400

export function spawnOnTerminal(
  binary: string,
  args: readonly string[],
  size: WindowSize,
  write: (chunk: Buffer) => boolean,
): CliProcess {
  // 0x0 means "unknown" to SSH; node-pty refuses it.
  const known = size.cols > 0 && size.rows > 0
  const terminal = start(binary, [...args], known ? size : { cols: 80, rows: 24 })
  const { fd, stream } = internals(terminal)
  stream.setRawMode(true)

  const began = Date.now()
  let poke: NodeJS.Timeout | undefined
  let over = false
  let watch: NodeJS.Timeout | undefined
  const resume = () => {
    clearInterval(watch)
    watch = undefined
    stream.resume()
  }
  stream.on('data', (chunk: Buffer) => {
    if (write(chunk) || over) return
    stream.pause()
    // What the kernel still holds of a dead CLI's output is little (64 KiB) and must be taken now.
    // biome-ignore lint/plugin: a plain tick, which never waits
    watch ??= setInterval(() => {
      if (!isAlive(terminal.pid)) {
        over = true
        resume()
      }
    }, WATCH_PAUSED_MS)
  })

  // Before node-pty's own listeners, which close the descriptor.
  stream.prependListener('end', () => {
    over = true
    readRest(fd, write)
  })

  const ended = new Promise<{ code: number | undefined }>((resolve) => {
    terminal.onExit(({ exitCode, signal }) => {
      over = true
      clearInterval(watch)
      clearTimeout(poke)
      resolve({ code: signal ? undefined : exitCode })
    })
  })
  const send = (signal: 'SIGTERM' | 'SIGKILL') => {
    if (!over) terminal.kill(signal)
  }
  return {
    stdin: createStdin(
      terminalWriter(fd, () => over || stream.destroyed),
      true,
    ),
    ended,
    resume,
    resize({ cols, rows }) {
      if (over || stream.destroyed || cols <= 0 || rows <= 0) return
      try {
        terminal.resize(Math.min(cols, 65_535), Math.min(rows, 65_535))
        // A CLI that has just begun reads its size before it listens for SIGWINCH: a change in between is lost on it.
        if (Date.now() - began < YOUNG_MS) {
          clearTimeout(poke)
          poke = setTimeout(() => {
            if (!over) terminal.kill('SIGWINCH')
          }, POKE_AFTER_MS)
        }
      } catch {
        // The child ended a moment ago.
      }
    },
    kill() {
      resume()
      end(send, ended)
    },
  }
}

function start(binary: string, args: string[], size: WindowSize) {
  const { spawn } = loadNodePty()
  try {
    return spawn(binary, args, { ...size, name: 'xterm', encoding: null, env: process.env })
  } catch (cause) {
    throw unreachable(`${binary} cannot be run`, cause)
  }
}

/** Only now: it is compiled where it is installed, and nothing else needs it. */
function loadNodePty(): typeof import('node-pty') {
  try {
    return load('node-pty')
  } catch (cause) {
    const why = isErrno(cause, 'MODULE_NOT_FOUND') ? 'is not installed' : 'does not load'
    const message = `node-pty ${why} at the gateway, so it has no terminal to give (its \`hatchway doctor\` says more)`
    throw new HatchwayError('TERMINAL_MISSING', message, { cause })
  }
}

/** Not in node-pty's typings; a release that renames them must be met by this sentence, not by lost output. */
function internals(terminal: object): { fd: number; stream: ReadStream } {
  if (
    'fd' in terminal &&
    typeof terminal.fd === 'number' &&
    '_socket' in terminal &&
    terminal._socket instanceof ReadStream
  ) {
    return { fd: terminal.fd, stream: terminal._socket }
  }
  throw new Error('this release of node-pty has another inside than 1.1; see src/engine/cli/pty.ts')
}

/** What the kernel still holds (at most 64 KiB) after the hang-up; ends by EIO. */
function readRest(fd: number, write: (chunk: Buffer) => boolean): void {
  const buffer = Buffer.allocUnsafe(4096)
  try {
    for (let length = readSync(fd, buffer); length > 0; length = readSync(fd, buffer)) {
      write(buffer.subarray(0, length))
    }
  } catch {
    // EIO: all is read and the other side is closed.
  }
}

/** Writes to the non-blocking master; a full terminal is tried again a little later, and backpressure reaches the giver. */
function terminalWriter(fd: number, gone: () => boolean): Writable {
  return new Writable({
    highWaterMark: 16 * 1024,
    write(chunk: Buffer, _encoding, done) {
      let at = 0
      const attempt = () => {
        try {
          while (at < chunk.length && !gone()) at += writeSync(fd, chunk, at)
        } catch (error) {
          if (isErrno(error, 'EAGAIN')) {
            setTimeout(attempt, RETRY_FULL_MS)
            return
          }
        }
        done()
      }
      attempt()
    },
  })
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
