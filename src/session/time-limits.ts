/** How long a session may last, and how long it may carry nothing: its user is warned, and then it ends. */
import { inWords } from '../base/duration.ts'
import { IdleTimer } from '../lifetime/idle-timer.ts'
import type { Counters } from './pump.ts'

/** Milliseconds; 0: none. */
export interface TimeLimits {
  readonly sessionMaxTime: number
  readonly sessionIdleTimeout: number
  /** The grace: so long before the end the user reads of it. */
  readonly sessionTimeoutWarning: number
}

export interface TimeLimit {
  /** The session's program runs. Before that, other limits hold. */
  start(): void
  /** Bytes passed, either way. */
  touch(): void
  /** Idempotent. */
  stop(): void
}

/** `warn` is a sentence for the user; `end` is called once, with why. */
export function limitTime(limits: TimeLimits, warn: (text: string) => void, end: (why: string) => void): TimeLimit {
  const { sessionMaxTime: max, sessionIdleTimeout: idle } = limits
  const timers = new Set<{ stop(): void }>()
  let stopped = false
  let touch = () => {}

  function after(milliseconds: number, run: () => void): void {
    const timer = setTimeout(run, milliseconds).unref()
    timers.add({ stop: () => clearTimeout(timer) })
  }

  function over(why: string): void {
    if (stopped) return
    stop()
    end(why)
  }

  function limitWhole(): void {
    const grace = graceOf(max, limits)
    after(max - grace, () => warn(`this session ends in ${inWords(grace)}: it may last ${inWords(max)}`))
    after(max, () => over(`it lasted ${inWords(max)}, which is its limit`))
  }

  /** Idle until the warning; then the grace, in which any byte begins all of it anew. */
  function limitIdle(): void {
    const grace = graceOf(idle, limits)
    const timer = new IdleTimer(idle - grace, () => {
      timers.delete(timer)
      warn(`this session ends in ${inWords(grace)}, unless it is used`)
      const last = new IdleTimer(grace, () => over(`it was idle for ${inWords(idle)}`))
      timers.add(last)
      touch = () => {
        last.stop()
        timers.delete(last)
        limitIdle()
      }
    })
    timers.add(timer)
    touch = () => timer.touch()
  }

  function stop(): void {
    stopped = true
    for (const timer of timers) timer.stop()
    timers.clear()
    touch = () => {}
  }

  return {
    start() {
      if (stopped) return
      if (max > 0) limitWhole()
      if (idle > 0) limitIdle()
    },
    touch: () => touch(),
    stop,
  }
}

/** Of a short limit, half is the warning. */
function graceOf(limit: number, { sessionTimeoutWarning }: TimeLimits): number {
  return Math.min(sessionTimeoutWarning, Math.floor(limit / 2))
}

/** Counters for which what passes also keeps the session from being idle. */
export function countingTraffic(counters: Counters, clock: Pick<TimeLimit, 'touch'>): Counters {
  return {
    addIn(bytes) {
      clock.touch()
      counters.addIn(bytes)
    },
    addOut(bytes) {
      clock.touch()
      counters.addOut(bytes)
    },
  }
}
