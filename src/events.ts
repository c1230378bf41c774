/** What happens in the gateway, as one typed stream: the log, metrics and the audit trail are its readers. */
import type { FailureCode } from './errors.ts'
import type { SessionSnapshot } from './session/registry.ts'
import type { SshServerEvent } from './ssh/server.ts'

export type SessionEvent =
  | { readonly type: 'session-created'; readonly session: SessionSnapshot }
  | { readonly type: 'session-running'; readonly session: SessionSnapshot }
  | { readonly type: 'session-stopped'; readonly session: SessionSnapshot }
  /** It never ran: no such container, not permitted, engine down. `message` is what the user read. */
  | {
      readonly type: 'session-refused'
      readonly connectionId: string
      readonly user: string
      readonly code: FailureCode
      readonly message: string
    }

export type EngineEvent =
  | { readonly type: 'engine-up'; readonly endpoint: string }
  | { readonly type: 'engine-down'; readonly endpoint: string; readonly reason: string }

export type GatewayStateEvent =
  | { readonly type: 'draining'; readonly sessions: number }
  | { readonly type: 'keys-reloaded'; readonly keys: number }

export type GatewayEvent = SshServerEvent | SessionEvent | EngineEvent | GatewayStateEvent

export type Listener = (event: GatewayEvent) => void

export interface EventBus {
  /** Never throws; a listener that does is reported once and skipped for that event only. */
  emit(event: GatewayEvent): void
  /** Returns how to stop listening. */
  listen(listener: Listener): () => void
}

export function createEventBus(onListenerError: (error: unknown, event: GatewayEvent) => void): EventBus {
  const listeners = new Set<Listener>()
  return {
    emit(event) {
      // A copy: a listener may add or remove listeners.
      for (const listener of [...listeners]) {
        try {
          listener(event)
        } catch (error) {
          report(onListenerError, error, event)
        }
      }
    },
    listen(listener) {
      // Wrapped, so that one function listening twice is two listeners with an end each.
      const own: Listener = (event) => listener(event)
      listeners.add(own)
      return () => {
        listeners.delete(own)
      }
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
