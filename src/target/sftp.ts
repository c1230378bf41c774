/** The sftp subsystem: the guest helper's own server, else the container's sftp-server program where it has one. */
import path from 'node:path'
import type { Exec, OutputSink } from '../engine/engine.ts'
import { GuestRefusal } from '../guest/guest.ts'
import type { EnvInfo } from './envinfo.ts'
import { sessionProgram } from './program.ts'
import { type Place, runProgram } from './run.ts'

/** Where distributions keep it: Debian, Fedora, Arch, SUSE, Alpine. */
const SFTP_SERVER = `for s in /usr/lib/openssh/sftp-server /usr/libexec/openssh/sftp-server /usr/lib/ssh/sftp-server /usr/libexec/sftp-server; do
[ -x "$s" ] && exec "$s" OPTIONS
done
echo "no sftp-server in this container, and no guest helper to stand in for it" >&2
exit 127`

/** @throws HatchwayError as runProgram */
export async function runSftp(
  place: Place,
  info: EnvInfo,
  env: readonly string[],
  options: { readonly readOnly: boolean; readonly directory?: string },
  sink: OutputSink,
  signal: AbortSignal,
): Promise<Exec> {
  const { readOnly } = options
  if (place.guest) {
    try {
      return await place.guest.sftp({ directory: directory(info, options.directory), readOnly }, sink, signal)
    } catch (error) {
      if (!(error instanceof GuestRefusal)) throw error
    }
  }
  const command = SFTP_SERVER.replace('OPTIONS', readOnly ? '-R' : '')
  const there = { ...info, home: directory(info, options.directory) }
  const program = sessionProgram({ kind: 'exec', command: Buffer.from(command) }, there, env)
  return runProgram(place, program, undefined, sink, signal)
}

/** sftp-server(8) -d: from the home directory, with its %d and %u. */
function directory(info: EnvInfo, start = '%d'): string {
  const tokens: Record<string, string> = { '%d': info.home, '%u': info.name, '%%': '%' }
  return path.posix.resolve(
    info.home,
    start.replace(/%[du%]/g, (token) => tokens[token] ?? token),
  )
}
