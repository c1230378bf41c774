/** What a session asked to have forwarded from inside the container to its client, as environment for its program. */
import type { Logger } from 'pino'
import { asHatchwayError } from '../base/errors.ts'
import type { Target } from '../container/containers.ts'
import type { Guest } from '../guest/guest.ts'
import { withDeadline } from '../lifetime/deadline.ts'
import type { Asked } from '../policy/gate.ts'
import type { SshConnection } from '../ssh/connection.ts'
import { openAgentSocket } from './agent.ts'
import type { ForwardBook } from './book.ts'
import type { Lent, LentPlace } from './lent.ts'
import { addCookie, displayName, openDisplay } from './x11.ts'

/** What was granted goes on; `end` is called when it is withdrawn. Returns how to let go. */
export type HoldInward = (action: { readonly kind: 'agent' | 'x11' }, end: () => void) => () => void

export interface Inward {
  /** "KEY=value" for the session; a forward that cannot be had is left out with a log line, as sshd goes on without. */
  environment(
    session: Asked,
    guest: Guest | undefined,
    env: readonly string[],
    target: Target,
    hold: HoldInward,
  ): Promise<string[]>
}

const LISTEN_MS = 15_000

/**
 * One agent socket and one display, made at the first need; made again when the helper was.
 *
 * @param closed when they are withdrawn: the connection's end or an earlier one
 */
export function createInward(
  connection: SshConnection<unknown>,
  closed: AbortSignal,
  book: ForwardBook,
  log: Logger,
): Inward {
  const agent = shared('agent', openAgentSocket)
  const display = shared('x11', openDisplay)

  return {
    async environment(session, guest, env, target, hold) {
      const added: string[] = []
      if (!guest) {
        if (session.agentForwarding || session.x11) log.info('agent and X11 forwarding need the guest helper')
        return added
      }
      const at = { connection, closed, guest, target, book }
      try {
        if (session.agentForwarding) {
          const { path } = await agent(at, hold)
          added.push(`SSH_AUTH_SOCK=${path}`)
        }
      } catch (error) {
        log.info({ err: asHatchwayError(error).cause ?? error }, 'no agent forwarding')
      }
      try {
        if (session.x11) {
          const opened = await display(at, hold)
          await addCookie(opened, session.x11, env, target.info.home)
          added.push(`DISPLAY=${displayName(opened, session.x11)}`)
        }
      } catch (error) {
        log.info({ err: asHatchwayError(error).cause ?? error }, 'no X11 forwarding')
      }
      return added
    },
  }
}

function shared<T extends Lent & { readonly guest: Guest }>(
  kind: 'agent' | 'x11',
  open: (at: LentPlace, signal: AbortSignal) => Promise<T>,
): (at: LentPlace, hold: HoldInward) => Promise<T> {
  let current: Promise<T> | undefined

  async function known(before: Promise<T> | undefined, at: LentPlace, hold: HoldInward): Promise<T> {
    const made = await before?.catch(() => undefined)
    if (made && !made.guest.ended.aborted) return made
    const opened = await withDeadline(LISTEN_MS, [at.closed], (signal) => open(at, signal))
    const letGo = hold({ kind }, () => {
      current = undefined
      opened.withdraw()
    })
    void opened.over.then(letGo)
    return opened
  }

  return (at, hold) => {
    current = known(current, at, hold)
    return current
  }
}
