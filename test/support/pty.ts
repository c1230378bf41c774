/** A client on a pseudo terminal, as a person at a keyboard would use it. */
import { spawn } from 'node-pty'

export interface TerminalOptions {
  readonly cols?: number
  readonly rows?: number
  readonly term?: string
  readonly env?: Readonly<Record<string, string>>
}

export interface Terminal {
  readonly pid: number
  /** Everything that was shown, escape sequences and all. */
  readonly output: () => string
  send(text: string): void
  /** Wait for text after what was awaited before; answers the text from there on. Throws with the screen's end. */
  expect(what: string | RegExp, limit?: number): Promise<string>
  resize(cols: number, rows: number): void
  /** The program's exit code, 128 + n when a signal ended it; throws after the limit. */
  exit(limit?: number): Promise<number>
  /** End it whatever it does; idempotent. */
  kill(signal?: string): void
}

export function openTerminal(file: string, args: readonly string[], options: TerminalOptions = {}): Terminal {
  const pty = spawn(file, [...args], {
    name: options.term ?? 'xterm-256color',
    cols: options.cols ?? 80,
    rows: options.rows ?? 24,
    env: { ...process.env, TERM: options.term ?? 'xterm-256color', ...options.env },
  })
  let shown = ''
  let seen = 0
  let ended: number | undefined
  let wake: (() => void)[] = []
  const changed = () => {
    const waiting = wake
    wake = []
    for (const resolve of waiting) resolve()
  }
  pty.onData((data) => {
    shown += data
    changed()
  })
  pty.onExit(({ exitCode, signal }) => {
    ended = signal ? 128 + signal : exitCode
    changed()
  })
  // Resolves at the next change or when the time is over, whichever is first.
  const next = (milliseconds: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.max(1, milliseconds))
      wake.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  return {
    pid: pty.pid,
    output: () => shown,
    send: (text) => pty.write(text),
    expect: async (what, limit = 10_000) => {
      const end = Date.now() + limit
      for (;;) {
        const rest = shown.slice(seen)
        const at = typeof what === 'string' ? rest.indexOf(what) : rest.search(what)
        if (at >= 0) {
          const length = typeof what === 'string' ? what.length : (rest.match(what)?.[0].length ?? 0)
          seen += at + length
          return rest.slice(at)
        }
        if (ended !== undefined || Date.now() > end) {
          const why = ended === undefined ? `not within ${limit} ms` : `ended with ${ended}`
          throw new Error(`${why}: ${String(what)}; the screen ends: ${JSON.stringify(shown.slice(-600))}`)
        }
        await next(end - Date.now())
      }
    },
    resize: (cols, rows) => pty.resize(cols, rows),
    exit: async (limit = 10_000) => {
      const end = Date.now() + limit
      while (ended === undefined) {
        if (Date.now() > end) {
          throw new Error(`still running after ${limit} ms; the screen ends: ${JSON.stringify(shown.slice(-600))}`)
        }
        await next(end - Date.now())
      }
      return ended
    },
    kill: (signal = 'SIGKILL') => {
      if (ended === undefined) pty.kill(signal)
    },
  }
}
