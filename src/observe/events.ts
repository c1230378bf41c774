/** What happens in the gateway: one stream of events, with several readers, and nothing else is what they read. */
import type { ContainerFacts, Whose } from '../base/connection-facts.ts'
import type { ContainerEvent } from '../container/container-event.ts'
import type { ForwardFailure, JumpEvent } from '../forward/forward-events.ts'
import type { PolicyEvent } from '../policy/policy-events.ts'
import type { AdminEvent } from '../session/admin-event.ts'
import type { ForwardEvent } from '../session/connection-registry.ts'
import type { SessionSnapshot } from '../session/registry.ts'
import type { KillEvent, SessionEvent } from '../session/session-events.ts'
import type { SftpOperation } from '../sftp/operations.ts'
import type { SshServerEvent } from '../ssh/server-events.ts'

export interface DrainingEvent {
  readonly type: 'draining'
  readonly sessions: number
  /** How long they may take. */
  readonly graceMs: number
  /** What asked for it: "SIGTERM". Absent: `drain.limit` of a gateway that has handed over. */
  readonly signal?: NodeJS.Signals
}

/** What was done to a file over SFTP, or by scp's old protocol. Only where a reader asks for it: an upload of a tree makes thousands. */
export interface SftpEvent {
  readonly type: 'sftp'
  readonly whose: Whose
  /** As it was when the session began. */
  readonly session: SessionSnapshot
  readonly operation: SftpOperation
}

/** A record of a session has got its last state; its own session may have ended with another gateway. */
export interface RecordedEvent {
  readonly type: 'recorded'
  readonly whose: Whose
  readonly container: ContainerFacts
  readonly user: string
  readonly session: string
  readonly record: string
  readonly state: string
  /** Of its manifest: hex. */
  readonly sha256: string
}

/** Of the gateway itself. */
export type LifeEvent =
  | {
      readonly type: 'gateway-started'
      readonly pid: number
      readonly listen: readonly { readonly address: string; readonly port: number }[]
    }
  /** It takes no new connections, and goes on with these: a new gateway has taken over, or it was told to drain. */
  | { readonly type: 'gateway-released'; readonly connections: number }
  | { readonly type: 'gateway-ended' }
  | {
      readonly type: 'reloaded'
      readonly keys: number
      readonly ended: number
      readonly restart: readonly string[]
    }
  /** What was read again cannot be used: the configuration before it is in force. */
  | { readonly type: 'reload-refused'; readonly problems: readonly string[] }

/** What a source tells. All that a client chose is printable and bounded there already. */
export type EventFacts =
  | SshServerEvent
  | ForwardEvent
  | ForwardFailure
  | JumpEvent
  | SessionEvent
  | PolicyEvent
  | ContainerEvent
  | KillEvent
  | AdminEvent
  | SftpEvent
  | RecordedEvent
  | DrainingEvent
  | LifeEvent

/** Which gateway it is. */
export interface GatewayName {
  /** Of the installation, for good; "" where its keysDirectory cannot be written. */
  readonly id: string
  /** Of this process: no other has it, before or after. */
  readonly process: string
  readonly host: string
}

/** When and where; the stream adds it. */
export interface EventStamp {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly gateway: GatewayName
  /** The address of the engine in use, for a container that names none. */
  readonly engine: string
}

export type GatewayEvent = EventFacts & EventStamp

/** Never throws. */
export type EmitEvent = (event: EventFacts) => void

/**
 * Called at once, in the order of what happens, in the middle of it: what takes time is for later. One that throws is
 * left out for this event.
 */
export type EventReader = (event: GatewayEvent) => void
