/**
 * The sftp subsystem, first that can be: the guest helper's own server; the container's sftp-server program; the gateway's
 * server on the engine's copy call, which is root inside and needs nothing there, not even that the container runs. For a
 * user with a restricted shell it is the program alone, and the shell starts it.
 */
import path from 'node:path'
import { HatchwayError } from '../base/errors.ts'
import { part } from '../base/parts.ts'
import { isUtf8Text } from '../bytes/byte-text.ts'
import { type Exec, engineOf, type OutputSink } from '../engine/engine.ts'
import { GuestRefusal } from '../guest/guest.ts'
import { onAbort, unlessAborted } from '../lifetime/on-abort.ts'
import type { Space } from '../sftp/spool.ts'
import type { EnvInfo } from './envinfo.ts'
import { runOwnScript } from './own-script.ts'
import { sessionProgram } from './program.ts'
import { runProgram, type SessionPlace } from './run.ts'

const loadOwnServer = part(() => Promise.all([import('../sftp/archive-files.ts'), import('../sftp/server.ts')]))

/** Where distributions keep it: Debian, Fedora, Arch and Alpine, SUSE. */
const SERVERS: readonly [string, ...string[]] = [
  '/usr/lib/openssh/sftp-server',
  '/usr/libexec/openssh/sftp-server',
  '/usr/lib/ssh/sftp-server',
  '/usr/libexec/sftp-server',
]

export interface SftpOptions {
  readonly readOnly: boolean
  readonly directory?: string
  /** Their shell starts the container's sftp-server, as in sshd, or does not: they may not do by sftp what it forbids. */
  readonly byShell: boolean
  /** For content on its way through the engine's copy call. */
  readonly space: Space
  /** May the session act as root: asked before the engine's copy call is used. @throws HatchwayError NOT_PERMITTED */
  readonly asRoot: () => Promise<{ readonly readOnly: boolean }>
}

/** @throws HatchwayError as runProgram */
export async function runSftp(
  place: SessionPlace,
  info: EnvInfo,
  env: readonly string[],
  options: SftpOptions,
  sink: OutputSink,
  signal: AbortSignal,
): Promise<Exec> {
  const { readOnly } = options
  const home = directory(info, options.directory)
  if (place.guest && !options.byShell) {
    try {
      return await place.guest.sftp({ directory: home, readOnly }, sink, signal)
    } catch (error) {
      if (!(error instanceof GuestRefusal)) throw error
    }
  }
  const run = (command: string, shell: string) => {
    const start = { kind: 'exec', command: Buffer.from(readOnly ? `${command} -R` : command) } as const
    const program = sessionProgram(start, { ...info, home, shell }, env, options.byShell)
    return runProgram({ place, program, tty: undefined, sink, signal })
  }
  const running = place.container.state === 'running'
  if (options.byShell) {
    if (running) return run((await installed(place, signal)) ?? SERVERS[0], info.shell)
    throw new HatchwayError(
      'CONTAINER_NOT_RUNNING',
      `sftp as ${info.name} is for their shell to start: not while container ${place.container.name} does not run`,
    )
  }
  // OpenSSH's ends at once for a uid that passwd does not have.
  const server = running && info.entry ? await installed(place, signal) : undefined
  if (server !== undefined) return run(`exec ${server}`, '/bin/sh')
  // The policy may take its time: a session that is ended meanwhile gets no server that is root inside.
  const granted = await unlessAborted(options.asRoot(), signal)
  const { copies } = engineOf(place.road.engine, place.container.id)
  if (copies === undefined) {
    throw new HatchwayError(
      'NOT_SUPPORTED',
      `sftp into container ${place.container.name} needs the guest helper or an sftp-server in its image: its engine cannot copy files by itself`,
    )
  }
  const [{ archiveFiles }, { serveSftp }] = await loadOwnServer()
  const closed = new AbortController()
  onAbort(signal, (reason) => closed.abort(reason))
  const files = archiveFiles(copies, place.container.id, closed.signal)
  // Names of the copy call are text.
  const start = isUtf8Text(home) ? home : '/'
  const { space } = options
  const settings = { who: info, directory: start, readOnly: readOnly || granted.readOnly, space }
  return serveSftp(files, settings, sink, () => closed.abort(new Error('the session ended')))
}

/**
 * Asked as the user, by an exec: the copy call would mount the container's volumes. A shell is needed to start one anyway.
 */
async function installed({ road, container, user }: SessionPlace, signal: AbortSignal): Promise<string | undefined> {
  const script = 'for s; do [ -f "$s" ] && [ -x "$s" ] && echo "$s" && exit; done'
  const about = { script, args: SERVERS, user: user.engineUser, maxBytes: 100 }
  const { out } = await runOwnScript(road.engine, container.id, about, signal)
  return SERVERS.find((server) => out.toString('latin1') === `${server}\n`)
}

/** sftp-server(8) -d: from the home directory, with its %d and %u. */
function directory(info: EnvInfo, start = '%d'): string {
  const tokens: Record<string, string> = { '%d': info.home, '%u': info.name, '%%': '%' }
  return path.posix.resolve(
    info.home,
    start.replace(/%[du%]/g, (token) => tokens[token] ?? token),
  )
}
