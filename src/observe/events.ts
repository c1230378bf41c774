/** What happens in the gateway, for the log. */
import type { ForwardEvent } from '../session/connection-registry.ts'
import type { SessionSnapshot } from '../session/registry.ts'
import type { SftpOperation } from '../sftp/operations.ts'
import type { SshServerEvent } from '../ssh/server-events.ts'

export interface DrainingEvent {
  readonly type: 'draining'
  readonly sessions: number
  /** How long they may take. */
  readonly graceMs: number
  /** What asked for it: "SIGTERM". */
  readonly signal: NodeJS.Signals
}

/** What was done to a file over SFTP. Only where `log.files` asks for it: an upload of a tree makes thousands. */
export interface SftpEvent {
  readonly type: 'sftp'
  /** As it was when the session began. */
  readonly session: SessionSnapshot
  readonly operation: SftpOperation
}

export type GatewayEvent = SshServerEvent | ForwardEvent | DrainingEvent | SftpEvent

/** Never throws. */
export type EventReader = (event: GatewayEvent) => void
