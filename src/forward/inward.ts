/** What a session asked to have forwarded from inside the container to its client, as environment for its program. */
import type { Logger } from 'pino'
import { asHatchwayError } from '../base/errors.ts'
import type { Guest } from '../guest/guest.ts'
import { withDeadline } from '../lifetime/deadline.ts'
import type { Asked } from '../policy/gate.ts'
import type { SshConnection } from '../ssh/connection.ts'
import { type AgentSocket, openAgentSocket } from './agent.ts'
import { addCookie, type Display, displayName, openDisplay } from './x11.ts'

/** What was granted goes on; `end` is called when it is withdrawn. Returns how to let go. */
export type HoldInward = (action: { readonly kind: 'agent' | 'x11' }, end: () => void) => () => void

export interface Inward {
  /** "KEY=value" for the session; a forward that cannot be had is left out with a log line, as sshd goes on without. */
  environment(
    session: Asked,
    guest: Guest | undefined,
    env: readonly string[],
    home: string,
    hold: HoldInward,
  ): Promise<string[]>
}

const LISTEN_MS = 15_000

/** One agent socket and one display for the connection, made at the first need; made again when the helper was. */
export function createInward(connection: SshConnection<unknown>, log: Logger): Inward {
  let agent: Promise<AgentSocket> | undefined
  let display: Promise<Display> | undefined

  async function shared<T extends { readonly guest: Guest }>(
    current: Promise<T> | undefined,
    open: () => Promise<T>,
  ): Promise<T> {
    const known = await current?.catch(() => undefined)
    return known && !known.guest.ended.aborted ? known : open()
  }

  return {
    async environment(session, guest, env, home, hold) {
      const added: string[] = []
      if (!guest) {
        if (session.agentForwarding || session.x11) log.info('agent and X11 forwarding need the guest helper')
        return added
      }
      try {
        if (session.agentForwarding) {
          agent = shared(agent, async () => {
            const opened = await withDeadline(LISTEN_MS, [connection.closed], (signal) =>
              openAgentSocket(connection, guest, signal),
            )
            const letGo = hold({ kind: 'agent' }, () => {
              agent = undefined
              opened.withdraw()
            })
            void opened.over.then(letGo)
            return opened
          })
          added.push(`SSH_AUTH_SOCK=${(await agent).path}`)
        }
      } catch (error) {
        log.info({ err: asHatchwayError(error).cause ?? error }, 'no agent forwarding')
      }
      try {
        if (session.x11) {
          display = shared(display, async () => {
            const made = await withDeadline(LISTEN_MS, [connection.closed], (signal) =>
              openDisplay(connection, guest, signal),
            )
            const letGo = hold({ kind: 'x11' }, () => {
              display = undefined
              made.withdraw()
            })
            void made.over.then(letGo)
            return made
          })
          const opened = await display
          await addCookie(opened, session.x11, env, home)
          added.push(`DISPLAY=${displayName(opened, session.x11)}`)
        }
      } catch (error) {
        log.info({ err: asHatchwayError(error).cause ?? error }, 'no X11 forwarding')
      }
      return added
    },
  }
}
