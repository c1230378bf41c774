/** A session that nobody knows where to: it is asked on a terminal, and told without one. */
import { HatchwayError } from '../base/errors.ts'
import { printable } from '../base/printable.ts'
import type { PtyRequest, SshSession } from '../ssh/session.ts'
import { type PickerEntry, sorted } from './entry.ts'
import { pick, pickerList } from './pick.ts'

export interface PickerQuestion {
  /** The word that named no container; absent: nothing was named. */
  readonly word?: string
  /** What this identity may enter. */
  entries(signal: AbortSignal): Promise<PickerEntry[]>
  /** Why there may be more than those, as sentences. */
  unanswered(): Promise<string[]>
  /** For this and all later sessions of the connection. @throws HatchwayError NOT_PERMITTED */
  choose(ref: string): Promise<void>
}

export type PickerAnswer = { readonly pty: PtyRequest } | { readonly code: number }

/** As ssh itself for a command line that lacks something. */
const NOT_NAMED = 2
/** 128 + SIGINT, as a shell says it. */
const LEFT = 130

/** @returns the terminal as it is after the choice, or how the session ends */
export async function askWhere(
  session: SshSession,
  question: PickerQuestion,
  linesOnly: boolean,
  signal: AbortSignal,
): Promise<PickerAnswer> {
  const { word } = question
  const entries = sorted(await question.entries(signal), word)
  for (const sentence of await question.unanswered())
    session.write(session.pty ? 1 : 2, Buffer.from(`hatchway: ${printable(sentence)}${session.pty ? '\r\n' : '\n'}`))
  const why = word === undefined ? 'no container named' : `no container "${printable(word.slice(0, 80))}"`
  if (entries.length === 0) throw new HatchwayError('CONTAINER_NOT_FOUND', `${why}, and none that you may enter`)
  if (!session.pty) {
    session.write(1, Buffer.from(pickerList(entries)))
    session.write(2, Buffer.from(`hatchway: ${why}; name one of these: ssh USER@CONTAINER@GATEWAY\n`))
    return { code: NOT_NAMED }
  }
  const picked = await pick(session, session.pty, `${why}; which one?`, entries, linesOnly, signal)
  if (!picked) return { code: LEFT }
  await question.choose(picked.entry.ref)
  return { pty: picked.pty }
}
