/** Start `PATH serve` by one engine exec and shake hands. */

import { placeFields } from '../base/connection-facts.ts'
import type { Container, Engine } from '../engine/engine.ts'
import { execIn } from '../engine/exec-in.ts'
import type { GuestConnection } from './connection.ts'
import { diagnose } from './diagnose.ts'
import { openConnection } from './handshake.ts'
import type { GuestLog } from './log.ts'
import type { GuestSettings } from './settings.ts'
import { type GuestUser, whom } from './user.ts'

/**
 * Longer than an engine hangs for (its disk, its upgrade), since a helper without a path past it hears nothing meanwhile;
 * short, since an engine that dies under live-restore leaves that helper's sessions running for so long (containerd#8856).
 */
const LEASE_MS = 300_000
const GRACE_MS = 5000
/** A helper says HELLO as soon as it runs; an engine under load needs seconds to get it there. */
const HELLO_MS = 20_000
/** A shell says that it is there before it reads. It is quick, and another way costs less than to wait for one that hangs. */
const SHELL_MS = 6000

/** `stdin`: bytes that a shell reads before it is the helper. */
export type Serve = (
  container: Container,
  user: GuestUser,
  argv: readonly [string, ...string[]],
  signal: AbortSignal,
  stdin?: Buffer,
) => Promise<GuestConnection>

export function createServe(engine: Engine, settings: GuestSettings, log: GuestLog): Serve {
  return (container, user, argv, signal, stdin) =>
    openConnection(
      async (sink, limit) => {
        const exec = await execIn(engine, container.id, { argv, user: user.exec, cwd: '/', env: [] }, sink, limit)
        if (stdin !== undefined) exec.stdin.write(stdin)
        return exec
      },
      {
        uid: user.uid,
        gid: user.gid,
        leaseMs: settings.leaseMs ?? LEASE_MS,
        graceMs: settings.graceMs ?? GRACE_MS,
        helloMs: settings.helloMs ?? HELLO_MS,
        ...(stdin && { signMs: settings.shellMs ?? SHELL_MS }),
        log: about(log, { ...placeFields(container), user: whom(user) }),
        diagnose: () => diagnose(engine, container),
      },
      signal,
    )
}

function about(log: GuestLog, whom: object): GuestLog {
  return {
    info: (fields, message) => log.info({ ...whom, ...fields }, message),
    warn: (fields, message) => log.warn({ ...whom, ...fields }, message),
  }
}
