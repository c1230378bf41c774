/** Sentences of the gateway's own in a session: on a terminal a line begins at its left edge, elsewhere it is on stderr. */
import type { HatchwayError } from '../base/errors.ts'
import type { SshSession } from '../ssh/session.ts'

/** A line for a person who waits. A client of a subsystem may take anything it does not know for an error. */
export function say(session: SshSession, line: string): void {
  if (session.start.kind === 'subsystem') return
  session.write(session.pty ? 1 : 2, Buffer.from(`hatchway: ${line}${session.pty ? '\r\n' : '\n'}`))
}

/** In the middle of whatever a terminal shows. */
export function interrupt(session: SshSession, line: string): void {
  session.write(session.pty ? 1 : 2, Buffer.from(session.pty ? `\r\n${line}\r\n` : `${line}\n`))
}

/** Why the session ends, and its exit code. */
export async function tell(session: SshSession, failure: HatchwayError): Promise<void> {
  interrupt(session, failure.code === 'LOGIN_REFUSED' ? failure.message : `hatchway: ${failure.message}`)
  await session.exit({ code: failure.exitCode })
}
