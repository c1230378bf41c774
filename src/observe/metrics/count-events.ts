/** The reader of events that counts them. */
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
const REASONS = { query: 'key', try: 'wrong', 'turned away': 'not_admitted' } as const

export function countEvents(meters: Meters): (event: EventFacts) => void {
  return (event) => count(meters, event)
}

function count(meters: Meters, event: EventFacts): void {
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
    case 'forward-opened':
      meters.forwards.inc({ kind: event.forward.kind })
      meters.forwardsTotal.inc({ kind: event.forward.kind })
      break
    case 'forward-ended':
      meters.forwards.dec({ kind: event.forward.kind })
      break
    case 'listener-opened':
      meters.listeners.inc({ kind: event.listener.kind })
      meters.listenersTotal.inc({ kind: event.listener.kind })
      break
    case 'listener-ended':
      meters.listeners.dec({ kind: event.listener.kind })
      break
    case 'draining':
      meters.draining.set(1)
      break
    case 'fault':
      meters.faults.inc()
      break
  }
}

function countLogin(meters: Meters, event: Extract<EventFacts, { type: 'auth' }>): void {
  const method = methodOf(event.method)
  if (event.accepted) {
    meters.logins.inc({ method })
    meters.loginDuration.observe({ method }, event.durationMs / 1000)
  } else if (event.failure !== undefined) meters.loginRefusals.inc({ method, reason: REASONS[event.failure] })
}

/** "keyboard-interactive:totp" where a device was used. */
function methodOf(method: string): string {
  const [name = ''] = method.split(':')
  return METHODS.includes(name) ? name : 'other'
}
