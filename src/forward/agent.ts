/**
 * Agent forwarding: one socket inside for each SSH connection, alive as long as the connection, as with sshd: programs that
 * an IDE leaves behind outlive the session that asked for it.
 */
import { randomBytes } from 'node:crypto'
import { type Guest, GuestRefusal } from '../guest/guest.ts'
import { forwardFacts } from './book.ts'
import { createInlet } from './join.ts'
import { type Lent, type LentPlace, lend } from './lent.ts'

/** Where a directory of one's own can be made: /tmp as sshd, then what a read-only container still has. */
const PLACES = ['/tmp', '/dev/shm', '/var/tmp', '/run']

export interface AgentSocket extends Lent {
  readonly path: string
  readonly guest: Guest
}

/** @throws HatchwayError, GuestRefusal where no directory can be written */
export async function openAgentSocket(at: LentPlace, signal: AbortSignal): Promise<AgentSocket> {
  const { connection, closed, guest, book } = at
  let refused: unknown
  for (const place of PLACES) {
    // As sshd names them; the directory is 0700 and made by the helper, the name cannot be foreseen.
    const path = `${place}/ssh-${randomBytes(8).toString('hex')}/agent.sock`
    const facts = forwardFacts('agent', path, at.target)
    const inlet = createInlet(book, () => facts)
    try {
      const listener = await guest.listen(
        { kind: 'unix', path, mode: 0o600, unlink: false, ownDirectory: true },
        ({ end }) => inlet.join(end, () => connection.openAgent()),
        signal,
      )
      return { path, guest, ...lend(closed, listener, inlet, book.listening(facts)) }
    } catch (error) {
      if (!(error instanceof GuestRefusal)) throw error
      refused = error
    }
  }
  throw refused
}
