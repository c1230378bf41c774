/** What ends a session before its program does: its client, its limits of time, an administrator, the policy. */
import { type FailureCode, HatchwayError } from '../base/errors.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import type { SshSession } from '../ssh/session.ts'
import { interrupt } from './tell.ts'
import { limitTime, type TimeLimits } from './time-limits.ts'

/** A session must have its program running by then; every engine call within has its own, shorter limit. */
const START_MS = 60_000

export interface Ending {
  /** Aborts with a HatchwayError: why the session ends. */
  readonly signal: AbortSignal
  /** The first reason counts. */
  end(code: FailureCode, message: string): void
  /** From now on the program must be running soon. What starts within the limit may run for ever. */
  starting(): void
  /** The program runs: its limits of time begin. */
  running(): void
  /** Bytes passed, either way. */
  touch(): void
  /** The session is over: nothing ends it any more. */
  stop(): void
}

export function createEnding(session: SshSession, limits: TimeLimits): Ending {
  const ending = new AbortController()
  const end = (code: FailureCode, message: string) => ending.abort(new HatchwayError(code, message))
  const stay = onAbort(session.closed, () => end('CLIENT_GONE', 'the client went away'))
  let timer: NodeJS.Timeout | undefined
  const clock = limitTime(
    limits,
    (text) => interrupt(session, `hatchway: ${text}`),
    (why) => end('SESSION_EXPIRED', `session ended: ${why}`),
  )
  return {
    signal: ending.signal,
    end,
    starting() {
      const tooSlow = 'the container engine took too long to start the session'
      timer = setTimeout(() => end('ENGINE_TIMEOUT', tooSlow), START_MS)
    },
    running() {
      clearTimeout(timer)
      clock.start()
    },
    touch: clock.touch,
    stop() {
      clearTimeout(timer)
      stay()
      clock.stop()
    },
  }
}
