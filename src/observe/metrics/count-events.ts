/** The reader of events that counts them. */
import type { ForwardFacts } from '../../forward/book.ts'
import type { SessionSnapshot } from '../../session/registry.ts'
import type { EventFacts } from '../events.ts'
import type { Meters } from './meters.ts'

/** A client may ask for any method. */
const METHODS: readonly string[] = [
  'none',
  'publickey',
  'password',
  'keyboard-interactive',
  'hostbased',
  'gssapi-with-mic',
]

/** Why a login was refused: a key that was asked about is not accepted; a wrong try; right, but not for this login name. */
const REFUSAL_REASONS = { query: 'key', try: 'wrong', 'turned away': 'not_admitted' } as const

/** @param engineKind of the only engine; where there are several, a session's container names its own */
export function countEvents(meters: Meters, engineKind: () => string): (event: EventFacts) => void {
  /** Those whose program runs, with the labels under which they are counted. */
  const running = new Map<string, { kind: string; engine: string; road: string }>()

  function started(session: SessionSnapshot, road: 'guest' | 'plain'): void {
    const labels = { kind: session.start, engine: session.container.engine ?? engineKind(), road }
    running.set(session.id, labels)
    meters.sessions.inc(labels)
    meters.sessionsTotal.inc(labels)
  }

  function ended(session: SessionSnapshot | undefined): void {
    const labels = session && running.get(session.id)
    if (!session || !labels) return
    running.delete(session.id)
    meters.sessions.dec(labels)
  }

  return (event) => {
    switch (event.type) {
      case 'connect':
        meters.connectionsTotal.inc()
        break
      case 'drop':
        meters.drops.inc({ reason: event.reason })
        break
      case 'penalty':
        meters.penalties.inc({ reason: event.misdeed })
        break
      case 'auth':
        countLogin(meters, event)
        break
      case 'session-started':
        started(event.session, event.road)
        break
      case 'session-ended':
        ended(event.session)
        break
      case 'session-failed':
        ended(event.session)
        meters.sessionFailures.inc({ code: event.failure.code })
        break
      case 'connection-refused':
        meters.sessionFailures.inc({ code: event.code })
        break
      case 'forward-opened':
        // Also of one that is over before the next scrape.
        meters.forwards.inc(forwardLabels(event.forward, engineKind), 0)
        meters.forwardsTotal.inc(forwardLabels(event.forward, engineKind))
        break
      case 'forward-failed':
        meters.forwardFailures.inc({ kind: event.kind })
        break
      case 'listener-opened':
        meters.listeners.inc(listenerLabels(event.listener, engineKind), 0)
        meters.listenersTotal.inc(listenerLabels(event.listener, engineKind))
        break
      case 'refused':
        meters.refusals.inc({ action: event.action.kind })
        break
      case 'withdrawn':
        meters.withdrawals.inc({ action: event.action.kind })
        break
      case 'container':
        meters.containerActions.inc({ action: event.action })
        break
      case 'reloaded':
        meters.reloaded.set(1)
        break
      case 'reload-refused':
        meters.reloaded.set(0)
        break
      case 'draining':
        meters.draining.set(1)
        break
      case 'fault':
        meters.faults.inc()
        break
    }
  }
}

function countLogin(meters: Meters, event: Extract<EventFacts, { type: 'auth' }>): void {
  const method = methodOf(event.method)
  if (event.accepted) {
    meters.logins.inc({ method })
    meters.loginDuration.observe({ method }, event.durationMs / 1000)
  } else if (event.failure !== undefined) meters.loginRefusals.inc({ method, reason: REFUSAL_REASONS[event.failure] })
}

/** "keyboard-interactive:totp" where a device was used. */
function methodOf(method: string): string {
  const [name = ''] = method.split(':')
  return METHODS.includes(name) ? name : 'other'
}

export function forwardLabels(forward: ForwardFacts, engineKind: () => string) {
  return { ...listenerLabels(forward, engineKind), road: forward.road ?? 'guest' }
}

export function listenerLabels({ kind, container }: ForwardFacts, engineKind: () => string) {
  return { kind, engine: container.engine ?? engineKind() }
}
