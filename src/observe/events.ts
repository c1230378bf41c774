/** What happens in the gateway, as one typed stream: the log, metrics and the audit trail are its readers. */
import type { SessionSnapshot } from '../session/registry.ts'
import type { SftpOperation } from '../sftp/operations.ts'
import type { SshServerEvent } from '../ssh/server-events.ts'

export type SessionEvent =
  | { readonly type: 'session-created'; readonly session: SessionSnapshot }
  | { readonly type: 'session-running'; readonly session: SessionSnapshot }
  | { readonly type: 'session-stopped'; readonly session: SessionSnapshot }

export interface DrainingEvent {
  readonly type: 'draining'
  readonly sessions: number
}

/** What was done to a file over SFTP. Only who asks for `files` hears it: an upload of a tree makes thousands. */
export interface SftpEvent {
  readonly type: 'sftp'
  /** As it was when the session began. */
  readonly session: SessionSnapshot
  readonly operation: SftpOperation
}

export type GatewayEvent = SshServerEvent | SessionEvent | DrainingEvent | SftpEvent

export type EventReader = (event: GatewayEvent) => void

export interface EventBus {
  /** Never throws; a listener that does is reported once and skipped for that event only. */
  emit(event: GatewayEvent): void
  /** Returns how to stop listening. `files`: SftpEvents as well. */
  listen(listener: EventReader, options?: { readonly files?: boolean }): () => void
  /** Whether anybody does; nobody decodes SFTP otherwise. */
  readonly wantsFiles: boolean
}

export function createEventBus(onListenerError: (error: unknown, event: GatewayEvent) => void): EventBus {
  const listeners = new Set<EventReader>()
  const forFiles = new Set<EventReader>()
  return {
    emit(event) {
      // A copy: a listener may add or remove listeners.
      for (const listener of event.type === 'sftp' ? [...forFiles] : [...listeners]) {
        try {
          listener(event)
        } catch (error) {
          report(onListenerError, error, event)
        }
      }
    },
    listen(listener, options) {
      // Wrapped, so that one function listening twice is two listeners with an end each.
      const own: EventReader = (event) => listener(event)
      listeners.add(own)
      if (options?.files) forFiles.add(own)
      return () => {
        listeners.delete(own)
        forFiles.delete(own)
      }
    },
    get wantsFiles() {
      return forFiles.size > 0
    },
  }
}

function report(to: (error: unknown, event: GatewayEvent) => void, error: unknown, event: GatewayEvent): void {
  try {
    to(error, event)
  } catch {
    // The reporter itself is broken (a log without a disk): a fact about a session must still not end the session.
  }
}
