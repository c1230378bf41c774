/** Whether a trail can be written: a step of its work has failed, does not end, or records are lost. */
import type { Logger } from 'pino'
import { messageOf } from '../../base/errors.ts'
import { every } from '../../lifetime/every.ts'

const STALLED = 'the disk does not answer'

export interface TrailHealth {
  /** Why nothing can be written now. */
  readonly failing: string | undefined
  /** Does one step of the work, and takes its time: a disk that hangs fails no call. */
  step<T>(work: () => Promise<T>): Promise<T>
  /** What it did before its work began. */
  failed(error: unknown): void
  /** Nothing is told any more. Idempotent. */
  close(): Promise<void>
}

export interface TrailWatchLimits {
  /** A step that takes longer is a failure, though it may still end. */
  readonly stallMs: number
  /** How often it is looked whether one does. */
  readonly watchMs: number
}

export interface TrailHealthDependencies {
  readonly log: Pick<Logger, 'info' | 'error'>
  readonly file: () => string
  readonly isLosing: () => boolean
  /** Called when records can be written no more, and when they can be again. */
  readonly changed: ((failing: string | undefined) => void) | undefined
  readonly limits: TrailWatchLimits
}

export function watchTrail({ log, file, isLosing, changed, limits }: TrailHealthDependencies): TrailHealth {
  let failure: string | undefined
  let stepSince: number | undefined
  let told: string | undefined
  let isClosed = false

  function failing(): string | undefined {
    if (failure !== undefined) return failure
    if (stepSince !== undefined && performance.now() - stepSince > limits.stallMs) return STALLED
    return isLosing() ? 'more records come than can be written' : undefined
  }

  const say = (reason: string) => log.error({ file: file(), reason }, 'the audit trail cannot be written')

  /** In the log with its cause, also where it was told already that records are lost. */
  function fail(error: unknown): void {
    if (failure !== undefined) return
    failure = messageOf(error)
    say(failure)
  }

  function tell(): void {
    const reason = failing()
    if (isClosed || (reason === undefined) === (told === undefined)) return
    told = reason
    if (reason === undefined) log.info({ file: file() }, 'the audit trail is written again')
    else if (reason === STALLED) say(reason)
    changed?.(reason)
  }

  const watch = every(limits.watchMs, tell, (error) => log.error({ err: error }, 'the audit trail is not watched'))
  return {
    get failing() {
      return failing()
    },
    async step(work) {
      stepSince = performance.now()
      try {
        const result = await work()
        failure = undefined
        return result
      } catch (error) {
        fail(error)
        throw error
      } finally {
        stepSince = undefined
        tell()
      }
    },
    failed(error) {
      fail(error)
      tell()
    },
    close() {
      isClosed = true
      return watch.stop()
    },
  }
}
