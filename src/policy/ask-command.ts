/** A question to a program: on its stdin, answered on its stdout. Not 0 at its end is no answer. */
import { isAbsolute } from 'node:path'
import { killGroup, whyUnsafe } from '../auth/helper-program.ts'
import { HatchwayError } from '../base/errors.ts'
import { part } from '../base/parts.ts'
import { onAbort, unlessAborted } from '../lifetime/on-abort.ts'
import { MAX_ANSWER_BYTES } from './ask-webhook.ts'
import type { Ask } from './external.ts'

/** A hundred files that most gateways never need. */
const loadExeca = part(() => import('execa'))

/** Nothing of the gateway's own environment, which may hold secrets. */
const ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' }

/** @throws HatchwayError CONFIG_INVALID */
export function commandAsker([program = '', ...args]: readonly string[]): Ask {
  if (!isAbsolute(program))
    throw new HatchwayError('CONFIG_INVALID', 'authorization.command: its program must be an absolute path')
  return async (question, signal) => {
    const reason = whyUnsafe(program)
    if (reason !== undefined) throw new Error(reason)
    const { execa } = await loadExeca()
    signal.throwIfAborted()
    const child = execa(program, args, {
      input: question,
      stderr: 'ignore',
      encoding: 'utf8',
      maxBuffer: MAX_ANSWER_BYTES,
      env: ENVIRONMENT,
      extendEnv: false,
      detached: true,
    })
    child.catch(() => undefined)
    // What it started itself may hold its stdout for ever: all of its process group goes, and the limit is ours.
    onAbort(signal, () => {
      if (child.exitCode === null) killGroup(child.pid)
    })
    const { stdout } = await unlessAborted(child, signal)
    return stdout
  }
}
