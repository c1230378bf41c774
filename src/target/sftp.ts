/** The sftp subsystem: the guest helper's own server, else the container's sftp-server program where it has one. */
import type { Exec, OutputSink } from '../engine/engine.ts'
import { GuestRefusal } from '../guest/guest.ts'
import type { EnvInfo } from './envinfo.ts'
import { sessionProgram } from './program.ts'
import { type Place, runProgram } from './run.ts'

/** Where distributions keep it: Debian, Fedora, Arch, SUSE, Alpine. */
const SFTP_SERVER = `for s in /usr/lib/openssh/sftp-server /usr/libexec/openssh/sftp-server /usr/lib/ssh/sftp-server /usr/libexec/sftp-server; do
[ -x "$s" ] && exec "$s"
done
echo "no sftp-server in this container, and no guest helper to stand in for it" >&2
exit 127`

/** @throws HatchwayError as runProgram */
export async function runSftp(
  place: Place,
  info: EnvInfo,
  env: readonly string[],
  sink: OutputSink,
  signal: AbortSignal,
): Promise<Exec> {
  if (place.guest) {
    try {
      return await place.guest.sftp(info.home, sink, signal)
    } catch (error) {
      if (!(error instanceof GuestRefusal)) throw error
    }
  }
  const program = sessionProgram({ kind: 'exec', command: Buffer.from(SFTP_SERVER) }, info, env)
  return runProgram(place, program, undefined, sink, signal)
}
