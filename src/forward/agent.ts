/**
 * Agent forwarding: one socket inside for each SSH connection, alive as long as the connection, as with sshd: programs that
 * an IDE leaves behind outlive the session that asked for it.
 */
import { randomBytes } from 'node:crypto'
import { type Guest, type GuestListener, GuestRefusal } from '../guest/guest.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import type { SshConnection } from '../ssh/connection.ts'
import { joinInward } from './join.ts'

/** Where a directory of one's own can be made: /tmp as sshd, then what a read-only container still has. */
const PLACES = ['/tmp', '/dev/shm', '/var/tmp', '/run']

export interface AgentSocket {
  readonly path: string
  readonly guest: Guest
  /** Resolves when nobody can connect any more. */
  readonly ended: Promise<void>
  close(): void
}

/** @throws HatchwayError, GuestRefusal where no directory can be written */
export async function openAgentSocket(
  connection: SshConnection<unknown>,
  guest: Guest,
  signal: AbortSignal,
): Promise<AgentSocket> {
  let refused: unknown
  for (const place of PLACES) {
    // As sshd names them; the directory is 0700 and made by the helper, the name cannot be foreseen.
    const path = `${place}/ssh-${randomBytes(8).toString('hex')}/agent.sock`
    try {
      const listener = await guest.listen(
        { kind: 'unix', path, mode: 0o600, unlink: false, ownDirectory: true },
        ({ end }) => void joinInward(end, connection.openAgent()),
        signal,
      )
      closeWith(connection, listener)
      return { path, guest, ended: listener.ended, close: () => void listener.close() }
    } catch (error) {
      if (!(error instanceof GuestRefusal)) throw error
      refused = error
    }
  }
  throw refused
}

/** The listener's end comes with the connection's, also when that has come already. */
export function closeWith(connection: SshConnection<unknown>, listener: GuestListener): void {
  const stay = onAbort(connection.closed, () => void listener.close())
  void listener.ended.then(stay)
}
