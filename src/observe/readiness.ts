/**
 * Whether the gateway can serve a new login: a few named checks, which /readyz asks. However many ask at once, each check
 * runs once, and one that hangs is not asked again until it has ended.
 */
import { messageOf } from '../base/errors.ts'
import { oneLine } from '../base/printable.ts'
import { withDeadline } from '../lifetime/deadline.ts'
import { unlessAborted } from '../lifetime/on-abort.ts'

/** Throws what keeps the gateway from serving, in a sentence. */
export type ReadinessCheck = (signal: AbortSignal) => Promise<unknown> | unknown

/** What a check found; no `reason`: all is well. */
export interface ReadinessFinding {
  readonly check: string
  readonly reason?: string
}

export interface Readiness {
  add(name: string, check: ReadinessCheck): void
  /** Not ready, from now on and whatever the checks find, until it is called without a reason. */
  block(name: string, reason?: string): void
  /** Resolves within the limit of a check; at once while something blocks, with what blocks alone. Never rejects. */
  ask(): Promise<readonly ReadinessFinding[]>
  /** What was found last, without asking; a check that was never asked is not in it. */
  known(): readonly ReadinessFinding[]
}

/** A supervisor that asks has a second or more; the engine is asked for its version, which takes milliseconds. */
const CHECK_MS = 2_000
/** Whoever asks more often gets the same answer. */
const FRESH_MS = 1_000

export function createReadiness(checkMs = CHECK_MS): Readiness {
  const checks = new Map<string, ReturnType<typeof openCheck>>()
  const blocks = new Map<string, string>()
  const blocking = () => [...blocks].map(([check, reason]) => ({ check, reason }))
  return {
    add: (name, check) => void checks.set(name, openCheck(name, check, checkMs)),
    block(name, reason) {
      if (reason === undefined) blocks.delete(name)
      else blocks.set(name, reason)
    },
    async ask() {
      if (blocks.size > 0) return blocking()
      const found = await Promise.all([...checks.values()].map((check) => check.ask()))
      // It may have begun to drain meanwhile.
      return blocks.size > 0 ? blocking() : found
    },
    known: () => [...blocking(), ...[...checks.values()].flatMap((check) => check.known() ?? [])],
  }
}

function openCheck(name: string, check: ReadinessCheck, limitMs: number) {
  let asking: Promise<ReadinessFinding> | undefined
  let last: { readonly finding: ReadinessFinding; readonly at: number } | undefined
  /** What was asked has ended, also where nobody waits for it any more. */
  let over = true

  async function once(): Promise<ReadinessFinding> {
    const reason = () => new Error(`no answer within ${limitMs / 1000} s`)
    over = false
    try {
      await withDeadline({ ms: limitMs, reason }, [], (signal) => {
        const work = Promise.resolve().then(() => check(signal))
        const ended = () => {
          over = true
        }
        work.then(ended, ended)
        return unlessAborted(work, signal)
      })
      return { check: name }
    } catch (error) {
      return { check: name, reason: oneLine(messageOf(error)) }
    }
  }

  return {
    known: () => last?.finding,
    async ask(): Promise<ReadinessFinding> {
      if (asking) return asking
      if (last && (!over || performance.now() - last.at < FRESH_MS)) return last.finding
      asking = once()
      try {
        const finding = await asking
        last = { finding, at: performance.now() }
        return finding
      } finally {
        asking = undefined
      }
    },
  }
}
