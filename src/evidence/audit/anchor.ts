/**
 * Where signed heads go besides, as evidence that the trail was so long: a file elsewhere, a program, or both. Each has one
 * head at a time, and the latest one next. One that hangs or fails is told of, and holds up nothing.
 */
import { appendFile } from 'node:fs/promises'
import { isAbsolute } from 'node:path'
import type { Logger } from 'pino'
import { killGroup, whyUnsafe } from '../../auth/helper-program.ts'
import { HatchwayError, messageOf } from '../../base/errors.ts'
import { part } from '../../base/parts.ts'
import type { Config } from '../../config/schema.ts'
import { withDeadline } from '../../lifetime/deadline.ts'
import { onAbort, unlessAborted } from '../../lifetime/on-abort.ts'
import type { Head } from './chain.ts'

const loadExeca = part(() => import('execa'))

const GIVE_MS = 30_000
/** Nothing of the gateway's own environment, which may hold secrets. */
const ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' }

export interface Anchor {
  /** At once. */
  give(head: Head): void
  /** Resolves when what was given has arrived, or will not. */
  settled(): Promise<void>
}

/** @throws HatchwayError CONFIG_INVALID */
export function createAnchor(
  { anchorFile: file, anchorCommand: command }: Pick<Config['audit'], 'anchorFile' | 'anchorCommand'>,
  log: Pick<Logger, 'warn' | 'info'>,
  limitMs = GIVE_MS,
): Anchor {
  const [program, ...args] = command ?? []
  if (program !== undefined && !isAbsolute(program))
    throw new HatchwayError('CONFIG_INVALID', 'audit.anchorCommand: its program must be an absolute path')
  const places = [
    ...(file === undefined ? [] : [place(file, (line) => appendFile(file, line, { mode: 0o600 }), log, limitMs)]),
    ...(program === undefined
      ? []
      : [place(program, (line, signal) => run(program, args, line, signal), log, limitMs)]),
  ]
  return {
    give(head) {
      const line = `${JSON.stringify(head)}\n`
      for (const { give } of places) give(line)
    },
    async settled() {
      await Promise.all(places.map(({ settled }) => settled()))
    },
  }
}

function place(
  name: string,
  put: (line: string, signal: AbortSignal) => Promise<unknown>,
  log: Pick<Logger, 'warn' | 'info'>,
  limitMs: number,
) {
  let next: string | undefined
  let busy: Promise<void> | undefined
  let failing = false

  async function work(): Promise<void> {
    while (next !== undefined) {
      const line = next
      next = undefined
      try {
        const reason = () => new Error(`it took longer than ${limitMs} ms`)
        await withDeadline({ ms: limitMs, reason }, [], (signal) => unlessAborted(put(line, signal), signal))
        if (failing) log.info({ anchor: name }, 'the anchor of the audit trail takes heads again')
        failing = false
      } catch (error) {
        if (!failing)
          log.warn({ anchor: name, reason: messageOf(error) }, 'the anchor of the audit trail does not take its heads')
        failing = true
      }
    }
    busy = undefined
  }

  return {
    give(line: string) {
      next = line
      busy ??= work()
    },
    settled: async () => busy,
  }
}

async function run(program: string, args: readonly string[], line: string, signal: AbortSignal): Promise<void> {
  const reason = whyUnsafe(program)
  if (reason !== undefined) throw new Error(reason)
  const { execa } = await loadExeca()
  signal.throwIfAborted()
  const child = execa(program, [...args], {
    input: line,
    stdout: 'ignore',
    stderr: 'ignore',
    env: ENVIRONMENT,
    extendEnv: false,
    cwd: '/',
    detached: true,
    cleanup: false,
  })
  child.catch(() => undefined)
  const stay = onAbort(signal, () => killGroup(child.pid))
  await child.finally(stay)
}
