/**
 * An exec goes by a pod's name, and whose name that was is only known when it has begun. So what our own shell begins, which is
 * every program of a session, first reads a word, and the word is sent when the pod has been looked at: a pod that took
 * the name of another one runs a shell that ends again, and nothing else.
 */
import type { Exec, ExecSpec, OutputSink } from '../engine.ts'
import { OWN_SHELL } from '../own-path.ts'

/** read(1) takes a pipe byte by byte: what follows the word is the program's. */
const HOLD = 'IFS= read -r hw_word && [ "$hw_word" = go ] && exec "$@"; exit 255'
const GO = 'go\n'
const STAY = 'stay\n'
/** A terminal shows what is typed, before anything else is there to be shown. */
const ECHO = Buffer.from('go\r\n')
const STAY_SENT_MS = 1_000

export interface HeldStart {
  readonly spec: ExecSpec
  readonly sink: OutputSink
  go(exec: Exec): void
  /** Closes it; its shell ends, on a terminal as well, where the end of the stream would not be told to it. */
  stay(exec: Exec): void
}

/** What begins with another program is started as it is: an image for it may have no shell. */
export function holdStart(spec: ExecSpec, sink: OutputSink): HeldStart {
  if (spec.argv[0] !== OWN_SHELL) return { spec, sink, go() {}, stay: (exec) => exec.close() }
  return {
    spec: { ...spec, argv: [OWN_SHELL, '-c', HOLD, 'sh', ...spec.argv] },
    sink: spec.tty ? withoutEcho(sink) : sink,
    go: (exec) => void exec.stdin.write(GO),
    stay(exec) {
      const close = () => exec.close()
      exec.stdin.write(STAY, close)
      setTimeout(close, STAY_SENT_MS).unref()
    },
  }
}

/** Lent bytes stay lent: what was taken for the echo and is none is given as the echo's own bytes. */
function withoutEcho(sink: OutputSink): OutputSink {
  let seen = 0
  return {
    write(fd, chunk) {
      if (seen === ECHO.length) return sink.write(fd, chunk)
      const length = Math.min(chunk.length, ECHO.length - seen)
      const rest = chunk.subarray(length)
      if (chunk.subarray(0, length).equals(ECHO.subarray(seen, seen + length))) {
        seen += length
        return rest.length === 0 || sink.write(fd, rest)
      }
      const before = ECHO.subarray(0, seen)
      seen = ECHO.length
      return sink.write(fd, Buffer.concat([before, chunk]))
    },
  }
}
