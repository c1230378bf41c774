/** A shell that hangs stays, for no engine can end an exec (moby#35703): the helper that came in another way ends it. */
import { messageOf } from '../../base/errors.ts'
import { runToEnd, UNHEARD } from '../../engine/own-program.ts'
import { withDeadline } from '../../lifetime/deadline.ts'
import type { GuestConnection } from '../connection.ts'

const LIMIT_MS = 30_000

/** A way that failed, and whose program may still be there: with `mark` among its arguments. */
export class LeftRunning extends Error {
  readonly mark: string

  constructor(mark: string, cause: unknown) {
    super(messageOf(cause), { cause })
    this.mark = mark
  }
}

/** Best effort, as the helper's user, which is also the program's. Never rejects. */
export async function endLeftRunning(guest: GuestConnection, mark: string): Promise<void> {
  const argv = ['hatchway-guest', 'end', mark]
  // The helper's own program; one that an operator mounted may be older, and says that it knows no "end".
  const spec = { program: '/proc/self/fd/3', argv, env: [], cwd: '/', cwdWarning: '', killTree: false, standIn: true }
  try {
    await withDeadline(LIMIT_MS, [guest.ended], async (signal) => {
      await runToEnd(await guest.spawn(spec, UNHEARD, signal), signal)
    })
  } catch {
    // The helper is gone, or the container is.
  }
}
