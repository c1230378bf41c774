/** Start a helper and shake hands: what comes before HELLO is an engine's error text, or an impostor's. */

import { HatchwayError, messageOf } from '../base/errors.ts'
import { oneLine } from '../base/printable.ts'
import type { Exec, OutputSink } from '../engine/engine.ts'
import { deadline, isTimeout } from '../lifetime/deadline.ts'
import { deferred } from '../lifetime/deferred.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import { type ConnectionSettings, GuestConnection } from './connection.ts'
import { FrameParser, type Hello, OUT_OF_TURN } from './frame-parser.ts'
import { StderrLog } from './stderr.ts'

type Ids = Pick<ConnectionSettings, 'uid' | 'gid'>

export type StartHelper = (sink: OutputSink, signal: AbortSignal) => Promise<Exec>

/** What was to become the helper runs and says nothing. */
class Unanswered extends Error {
  constructor() {
    super('it does not answer')
  }
}

/** Whether what `openConnection` started, and gave up for this reason, may still be there. */
export function isLeftRunning(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Unanswered || isTimeout(cause)
}

/** Start a helper and shake hands. Rejects with an Error whose message says why it did not come up. */
export async function openConnection(
  start: StartHelper,
  settings: ConnectionSettings,
  signal: AbortSignal,
): Promise<GuestConnection> {
  const limit = deadline(settings.helloMs, signal)
  limit.throwIfAborted()
  const stderr = new StderrLog(settings.log)
  let connection: GuestConnection | undefined
  const { promise: hello, resolve: greet, reject: refuse } = deferred<Hello>()
  hello.catch(() => {})
  const remove = onAbort(limit, refuse)
  let spoke = false
  let silence: NodeJS.Timeout | undefined

  const early: Buffer[] = []
  let violation: unknown
  const parser = new FrameParser({ ...OUT_OF_TURN, hello: greet })
  const sink: OutputSink = {
    write(fd, chunk) {
      if (!spoke) clearTimeout(silence)
      spoke = true
      if (fd === 2) stderr.write(chunk)
      else if (connection !== undefined) connection.feed(chunk)
      else {
        if (early.length < 4) early.push(Buffer.from(chunk.subarray(0, 256)))
        try {
          parser.feed(chunk)
        } catch (error) {
          violation ??= error
          refuse(error)
        }
      }
      return true
    },
  }
  let exec: Exec | undefined
  try {
    exec = await start(sink, limit)
    const { signMs } = settings
    if (signMs !== undefined && !spoke) silence = setTimeout(() => refuse(new Unanswered()), signMs).unref()
    const died = exec.exit.then((status) => Promise.reject(new Error(`exited with ${JSON.stringify(status)}`)))
    died.catch(() => {})
    const said = await Promise.race([hello, died])
    // More than HELLO before INIT.
    if (violation !== undefined) throw violation
    // The policy said yes to another one: no other way in may be tried, which the engine would take as this one.
    if (said.uid !== settings.uid || said.gid !== settings.gid) {
      const [was, is] = said.uid === settings.uid ? ids('gid', settings, said) : ids('uid', settings, said)
      throw new HatchwayError('USER_CHANGED', `the user inside was ${was} and is ${is} now: connect again`)
    }
    connection = new GuestConnection(exec, said, settings)
    return connection
  } catch (error) {
    exec?.close()
    // What an engine says in-band in place of a HELLO, for the log.
    const words = stderr.text || oneLine(Buffer.concat(early).toString('utf8'))
    const reason = messageOf(error)
    if (error instanceof HatchwayError) throw error
    throw new Error(words === '' ? reason : `${reason}: ${words}`, { cause: error })
  } finally {
    clearTimeout(silence)
    remove()
  }
}

function ids(kind: 'uid' | 'gid', was: Ids, is: Ids): readonly [string, string] {
  return kind === 'uid' ? [`uid ${was.uid}`, String(is.uid)] : [`in group ${was.gid}`, `in ${is.gid}`]
}
