/**
 * A session's terminal as the streams that a prompt wants. There is no pty yet, so nobody makes CR LF of LF, and keys
 * come raw. What was typed ahead of the answer stays for the shell.
 */
import { Readable, Writable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import type { PtyRequest, SshSession } from '../ssh/session.ts'

/**
 * Takes back what a program may have left a terminal in. Not ?1049l to leave the alternate screen: where that is not shown it
 * moves the cursor. In turn: the screen; the mouse and focus; bracketed paste; keys of kitty and xterm in other ways; a soft
 * reset (cursor keys, origin, margins, insert); colours; line wrap; a cursor that is shown.
 */
export const RESET_MODES = [
  '\x1b[?1047l',
  '\x1b[?9;1000;1001;1002;1003;1004;1005;1006;1015;1016l',
  '\x1b[?2004l',
  '\x1b[=0u\x1b[>4m',
  '\x1b[!p\x1b>',
  '\x1b[m\x0f',
  '\x1b[?7h\x1b[?25h',
].join('')

/** No control sequence is for one that may not know any. */
export function isDumb({ term }: PtyRequest): boolean {
  return /^(dumb)?$/.test(term)
}

const [CTRL_C, CTRL_D, LF, CR] = [3, 4, 10, 13]

export interface PromptTerminal {
  readonly input: Readable
  /** With `columns` and `rows` as a tty.WriteStream has them; emits 'resize'. */
  readonly output: Writable & { readonly columns: number; readonly rows: number }
  /** Aborts when they leave: Ctrl-C, Ctrl-D, the end of their input, or `leave`. */
  readonly left: AbortSignal
  leave(): void
  /** The pty as it is now: its size may have changed. */
  pty(): PtyRequest
  /** Hands input back to the session. */
  close(): void
}

export function promptTerminal(session: SshSession, asked: PtyRequest): PromptTerminal {
  const left = new AbortController()
  const { stdin } = session
  let pty = asked
  let closed = false
  let drained: (() => void) | undefined
  let congested = false
  /** What was typed and is not asked for yet. */
  let ahead: Buffer = Buffer.alloc(0)

  const output = Object.defineProperties(
    new Writable({
      decodeStrings: false,
      write(chunk: Buffer | string, _encoding, done) {
        // latin1: a byte of an echoed character must stay what it is.
        const bytes = Buffer.from(chunk).toString('latin1').replaceAll(/\r?\n/g, '\r\n')
        congested = !session.write(1, Buffer.from(bytes, 'latin1'))
        done()
      },
    }),
    { columns: { get: () => pty.cols || 80 }, rows: { get: () => pty.rows || 24 }, isTTY: { value: true } },
  ) as PromptTerminal['output']
  const input = new Readable({ read() {} })
  output.on('error', () => {})
  input.on('error', () => {})

  session.listen({
    resize(size) {
      pty = { ...pty, ...size }
      output.emit('resize')
    },
    drain() {
      congested = false
      drained?.()
    },
  })

  /** A key at a time, so that nothing behind the answer is swallowed; and none while the screen is not taken. */
  async function feed(chunk: Buffer): Promise<void> {
    ahead = chunk
    while (ahead.length > 0) {
      const [key] = ahead
      if (key === CTRL_C || key === CTRL_D) return left.abort()
      if (congested) await new Promise<void>((resolve) => (drained = resolve))
      if (closed) return
      input.push(ahead.subarray(0, 1))
      ahead = ahead.subarray(1)
      if (key === CR || key === LF) await turn()
      if (closed) return
    }
    stdin.resume()
  }

  const onData = (chunk: Buffer) => {
    stdin.pause()
    void feed(chunk)
  }
  const onEnd = () => left.abort()
  stdin.on('data', onData)
  stdin.once('end', onEnd)
  // Where the picker was here before, it has paused it.
  stdin.resume()

  return {
    input,
    output,
    left: left.signal,
    leave: () => left.abort(),
    pty: () => pty,
    close() {
      closed = true
      stdin.pause()
      stdin.off('data', onData)
      stdin.off('end', onEnd)
      // At once: whoever reads next must have it before what comes later.
      if (ahead.length > 0 && !stdin.readableEnded) stdin.unshift(ahead)
      // A resize or a signal from now on is for the program.
      session.listen(undefined)
      drained?.()
    },
  }
}
