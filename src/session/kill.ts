/** An administrator ends a session, or a connection with all of its sessions. */
import type { ConnectionRegistry } from './connection-registry.ts'
import type { SessionRegistry } from './registry.ts'
import type { KillEvent } from './session-events.ts'

export interface KillDependencies {
  readonly registry: SessionRegistry
  readonly connections: ConnectionRegistry
  readonly emit: (event: KillEvent) => void
}

/** Told of first, so that its end comes after. False: there is none of that id. */
export function killLive(
  what: 'session' | 'connection',
  id: string,
  dependencies: KillDependencies,
  by?: string,
): boolean {
  return (what === 'session' ? killSession : killConnection)(id, dependencies, by)
}

function killSession(id: string, { registry, connections, emit }: KillDependencies, by?: string): boolean {
  const session = registry.list().find((live) => live.id === id)
  if (!session) return false
  const { connectionId, remote, identity, container, user } = session
  const { login = '' } = connections.list().find((live) => live.connectionId === connectionId) ?? {}
  const whose = { connectionId, remote, identity, login }
  emit({ type: 'killed', what: 'session', sessionId: id, whose, container, user, ...(by !== undefined && { by }) })
  return registry.kill(id)
}

function killConnection(id: string, { connections, emit }: KillDependencies, by?: string): boolean {
  const connection = connections.list().find(({ connectionId }) => connectionId === id)
  if (!connection) return false
  const { connectionId, remote, identity, login, container } = connection
  const whose = { connectionId, remote, identity, login }
  emit({ type: 'killed', what: 'connection', whose, ...(container && { container }), ...(by !== undefined && { by }) })
  return connections.kill(id)
}
