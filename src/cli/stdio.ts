/**
 * `hatchway stdio`: one SSH connection on stdin and stdout, for ProxyCommand and for a gateway reached by another ssh.
 * Nothing but the protocol may go to stdout.
 */

import { setTimeout as later } from 'node:timers/promises'
import { PROGRAM_NAME } from '../base/program-name.ts'
import { CliFailure } from '../control/cli-failure.ts'
import { GREETING } from '../ssh/greeting.ts'
import type { ConfigFlags } from './flags.ts'
import { readPinned } from './pinned-keys.ts'
import { stdioEnds } from './stdio-peer.ts'
import { joinStdio } from './stdio-stream.ts'

const CLOSE_MS = 3_000
const NOT_SERVED = 255

/** @param knownHosts has the host keys that ssh expects of this process */
export async function stdio(flags: ConfigFlags, host?: string, knownHosts?: string): Promise<number> {
  // First of all: the client makes its keys while the rest of this program loads.
  process.stdout.write(GREETING)
  const [{ startGateway }, { publicLine }, { configFrom }, { createLog }, { hangUp }] = await Promise.all([
    import('../app.ts'),
    import('../auth/hostkeys.ts'),
    import('./flags.ts'),
    import('../observe/log.ts'),
    import('./hang-up.ts'),
  ])
  const { config, warnings } = configFrom({ logLevel: 'warn', ...flags })
  const { log, close: closeLog } = await createLog(config.log)
  for (const warning of warnings) log.warn(warning)
  try {
    const gateway = await startGateway({ ...config, listen: [], metrics: { listen: { kind: 'none' } } }, log)
    // Before ssh sees the keys: it would tell of an attack.
    if (knownHosts !== undefined && !(await readPinned(knownHosts))(gateway.hostKeys.map(publicLine)))
      throw new CliFailure(
        `these host keys are not those in ${knownHosts}: run \`${PROGRAM_NAME} config-ssh\` again`,
        NOT_SERVED,
      )
    const stream = joinStdio(process.stdin, process.stdout)
    const ended = new Promise<void>((resolve) => {
      stream.once('close', resolve)
      stream.once('error', () => resolve())
      // Not once(): its listener removes itself first; execa's signal-exit finds none and kills the process.
      for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => resolve())
    })
    const { remote, local } = stdioEnds(process.stdin, process.env.SSH_CONNECTION)
    const served = gateway.inject(stream, remote, local, { greeted: true, ...(host !== undefined && { host }) })
    await ended
    await hangUp(gateway.registry, 'ended: the connection is gone')
    await Promise.race([gateway.close(), later(CLOSE_MS)])
    // As sshd -i exits for a client that speaks no SSH, or is not let in (cleanup_exit).
    return (await served) ? 0 : NOT_SERVED
  } finally {
    await closeLog()
  }
}
