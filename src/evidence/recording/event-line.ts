/** What happens to files and by forwards → a line in the record of each session that it belongs to. */
import type { GatewayEvent } from '../../observe/events.ts'
import type { ListenerSnapshot } from '../../session/connection-registry.ts'

export interface EventLine {
  readonly part: 'files' | 'forwards'
  readonly connection: string
  /** Absent: of all sessions of the connection. */
  readonly session?: string
  readonly text: object
}

export function eventLine(event: GatewayEvent): EventLine | undefined {
  const at = new Date(event.at).toISOString()
  switch (event.type) {
    case 'sftp': {
      const { name, ...rest } = event.operation
      const text = { at, type: 'file', operation: name, ...rest }
      return { part: 'files', connection: event.whose.connectionId, session: event.session.id, text }
    }
    case 'forward-opened':
      return forward(event, { at, type: event.type, ...placeOf(event.forward) })
    case 'forward-ended': {
      const { bytesIn, bytesOut } = event.forward
      return forward(event, { at, type: event.type, ...placeOf(event.forward), bytesIn, bytesOut })
    }
    case 'listener-opened':
    case 'listener-ended':
      return forward(event, { at, type: event.type, ...placeOf(event.listener) })
    default:
      return undefined
  }
}

function forward({ whose }: { readonly whose: { readonly connectionId: string } }, text: object): EventLine {
  return { part: 'forwards', connection: whose.connectionId, text }
}

function placeOf({ kind, place }: ListenerSnapshot) {
  return { kind, place }
}
