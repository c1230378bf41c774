/** What watches the gateway: its metrics, whether its engine answers, and what they are asked for. */
import { keyProgramsWaiting } from '../auth/helper-program.ts'
import { passwordsWaiting } from '../auth/password-hash.ts'
import { part } from '../base/parts.ts'
import type { FixedConfig } from '../config/schema.ts'
import { createEngineHealth } from '../engine/answers.ts'
import type { Engine } from '../engine/engine.ts'
import type { Audit } from '../evidence/audit/audit.ts'
import type { GuestPool } from '../guest/pool.ts'
import type { Scope } from '../lifetime/scope.ts'
import type { Logger } from '../observe/log.ts'
import type { Watch } from '../observe/metrics/watch.ts'
import type { Readiness } from '../observe/readiness.ts'
import type { ConnectionRegistry } from '../session/connection-registry.ts'
import type { SessionRegistry } from '../session/registry.ts'
import type { SshServer } from '../ssh/server.ts'

const loadWatch = part(() => import('../observe/metrics/watch.ts'))

/** Before everything else: its port may be taken, and whoever supervises the start asks there. */
export async function openWatching(
  scope: Scope,
  { metrics }: FixedConfig,
  readiness: Readiness,
  takesOver: boolean | undefined,
  log: Logger,
): Promise<Watch | undefined> {
  if (metrics.listen.kind === 'none') return undefined
  const { openWatch } = await loadWatch()
  return scope.add(await openWatch(metrics.listen, readiness, log, takesOver), (watch) => watch.close())
}

export interface Watched {
  readonly engine: Engine
  /** Names of several engines. */
  readonly engines: readonly string[]
  readonly server: Pick<SshServer<unknown>, 'connections' | 'exchangesWaiting'>
  readonly registry: SessionRegistry
  readonly connections: ConnectionRegistry
  readonly guests: GuestPool | undefined
  readonly audit: Audit | undefined
}

/** From now on what is counted is that of these, and ready means that they answer. */
export function watchGateway(
  { engine, engines, server, registry, connections, guests, audit }: Watched,
  readiness: Readiness,
  watching: Watch | undefined,
): void {
  const health = createEngineHealth(engine, engines)
  if (audit) readiness.add('audit', audit.check)
  readiness.add('engine', health.ask)
  watching?.from({
    engineKind: () => engine.kind,
    engines: health.known,
    connections: () => ({ all: server.connections(), loggedIn: connections.size }),
    traffic: () => ({ session: registry.traffic(), forward: connections.forwardTraffic() }),
    forwards: () => connections.forwards(),
    listeners: () => connections.listeners(),
    helpers: () => guests?.count().live ?? 0,
    audit: () => audit?.lag(),
    queues: () => ({
      key_exchanges: server.exchangesWaiting(),
      passwords: passwordsWaiting(),
      key_programs: keyProgramsWaiting(),
      session_starts: registry.starting,
      helper_deliveries: guests?.count().arriving ?? 0,
    }),
  })
}
