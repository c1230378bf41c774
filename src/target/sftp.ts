/**
 * The sftp subsystem, first that can be: the guest helper's own server; the container's sftp-server program; the gateway's
 * server on the engine's copy call, which is root inside and needs nothing there, not even that the container runs.
 */
import path from 'node:path'
import type { Exec, OutputSink } from '../engine/engine.ts'
import { GuestRefusal } from '../guest/guest.ts'
import { onAbort, unlessAborted } from '../lifetime/on-abort.ts'
import type { EnvInfo } from './envinfo.ts'
import { sessionProgram } from './program.ts'
import { type Place, runProgram } from './run.ts'

/** Where distributions keep it: Debian, Fedora, Arch and Alpine, SUSE. */
const SERVERS = [
  '/usr/lib/openssh/sftp-server',
  '/usr/libexec/openssh/sftp-server',
  '/usr/lib/ssh/sftp-server',
  '/usr/libexec/sftp-server',
]

export interface SftpOptions {
  readonly readOnly: boolean
  readonly directory?: string
  /** May the session act as root: asked before the engine's copy call is used. @throws HatchwayError NOT_PERMITTED */
  readonly asRoot: () => Promise<{ readonly readOnly: boolean }>
}

/** @throws HatchwayError as runProgram */
export async function runSftp(
  place: Place,
  info: EnvInfo,
  env: readonly string[],
  options: SftpOptions,
  sink: OutputSink,
  signal: AbortSignal,
): Promise<Exec> {
  const { readOnly } = options
  const home = directory(info, options.directory)
  if (place.guest) {
    try {
      return await place.guest.sftp({ directory: home, readOnly }, sink, signal)
    } catch (error) {
      if (!(error instanceof GuestRefusal)) throw error
    }
  }
  // Only where they are needed: they are a good part of a start.
  const [{ archiveFiles }, { serveSftp }] = await Promise.all([
    import('../sftp/archive-files.ts'),
    import('../sftp/server.ts'),
  ])
  const closed = new AbortController()
  onAbort(signal, (reason) => closed.abort(reason))
  const files = archiveFiles(place.road.engine, place.container.id, closed.signal)
  // OpenSSH's ends at once for a uid that passwd does not have.
  if (place.container.state === 'running' && info.entry) {
    for (const server of SERVERS) {
      const node = await files.lstat(server)
      if (node?.type !== 'link' && !(node?.type === 'file' && node.mode & 0o111)) continue
      const command = Buffer.from(readOnly ? `exec ${server} -R` : `exec ${server}`)
      const program = sessionProgram({ kind: 'exec', command }, { ...info, home }, env)
      return runProgram(place, program, undefined, sink, signal)
    }
  }
  // The policy may take its time: who is killed meanwhile gets no server that is root inside.
  const granted = await unlessAborted(options.asRoot(), signal)
  const settings = { who: info, directory: home, readOnly: readOnly || granted.readOnly }
  return serveSftp(files, settings, sink, () => closed.abort(new Error('the session ended')))
}

/** sftp-server(8) -d: from the home directory, with its %d and %u. */
function directory(info: EnvInfo, start = '%d'): string {
  const tokens: Record<string, string> = { '%d': info.home, '%u': info.name, '%%': '%' }
  return path.posix.resolve(
    info.home,
    start.replace(/%[du%]/g, (token) => tokens[token] ?? token),
  )
}
