/** Which container, asked on the session's own terminal. */
import { part } from '../base/parts.ts'
import { openDeadline } from '../lifetime/deadline.ts'
import type { PtyRequest, SshSession } from '../ssh/session.ts'
import type { PickerEntry } from './entry.ts'
import { numberedLines } from './lines.ts'
import { isDumb, promptTerminal } from './terminal.ts'

/** The prompt library. */
const loadSearch = part(() => import('./search.ts'))

/** Nobody is asked for ever. */
const CHOICE_MS = 10 * 60_000

export interface Picked {
  readonly entry: PickerEntry
  /** Its size may have changed while it was asked. */
  readonly pty: PtyRequest
}

/** Undefined: they left without an answer. Rejects with the reason of `signal`. */
export async function pick(
  session: SshSession,
  pty: PtyRequest,
  message: string,
  entries: readonly PickerEntry[],
  linesOnly: boolean,
  signal: AbortSignal,
): Promise<Picked | undefined> {
  const terminal = promptTerminal(session, pty)
  const { signal: limit, release } = openDeadline(CHOICE_MS, signal, terminal.left)
  try {
    const plain = linesOnly || isDumb(pty) || session.env.get('HATCHWAY_PICKER') === 'lines'
    const colours = !session.env.get('NO_COLOR')
    const entry = plain
      ? await numberedLines(message, entries, terminal, limit)
      : await (await loadSearch()).search({ message, entries, terminal, colours }, limit)
    return { entry, pty: terminal.pty() }
  } catch (error) {
    signal.throwIfAborted()
    if (limit.aborted) return undefined
    throw error
  } finally {
    release()
    terminal.close()
  }
}

/** For a client without a terminal: a line each, name, state, image and compose's name between tabs. */
export function pickerList(entries: readonly PickerEntry[]): string {
  return entries.map(({ name, status, image, compose }) => `${name}\t${status}\t${image}\t${compose}\n`).join('')
}
