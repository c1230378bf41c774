/** `hatchway connections`: every login to the running gateways of this user, and what each is used for. */

import type { Config } from '../config/schema.ts'
import { allConnections } from '../control/client.ts'
import type { ConnectionRow } from '../control/protocol.ts'
import { fullName } from '../engine/ref.ts'
import { bytes, SINCE_WIDTH, since, span } from './amounts.ts'
import { gatewayColumns, noneOf } from './gateway-name.ts'
import { type Column, table, terminalWidth } from './table.ts'

export async function printConnections(config: Config, json: boolean): Promise<string> {
  const gateways = await allConnections(config.controlSocket)
  const rows = gateways.flatMap(({ pid, connections }) =>
    connections.map(({ sessions, ...row }) => ({
      gateway: pid,
      ...row,
      // Command text may hold secrets.
      sessions: sessions.map(({ command: _, ...session }) => session),
    })),
  )
  rows.sort((a, b) => a.connectedAt - b.connectedAt)
  if (json) return `${JSON.stringify(rows, null, 2)}\n`
  return rows.length === 0
    ? noneOf('connections', gateways)
    : table([...COLUMNS, ...gatewayColumns(gateways)], rows, terminalWidth())
}

const COLUMNS: readonly Column<ConnectionRow>[] = [
  // Enough for `hatchway kill`, which takes beginnings.
  { head: 'ID', cell: (row) => row.connectionId.slice(0, 12), keep: true },
  { head: 'WHO', cell: (row) => row.identity.name },
  { head: 'LOGIN', cell: (row) => row.login },
  { head: 'CONTAINER', cell: (row) => (row.container ? fullName(row.container) : ''), keep: true },
  { head: 'FROM', cell: (row) => row.remote.address },
  { head: 'SINCE', cell: (row) => since(row.connectedAt), least: SINCE_WIDTH },
  { head: 'IDLE', cell: (row) => span(Date.now() - row.activeAt) },
  { head: 'IN', cell: (row) => bytes(row.bytesIn) },
  { head: 'OUT', cell: (row) => bytes(row.bytesOut) },
  { head: 'SESSIONS', cell: (row) => row.sessions.map(({ id }) => id).join(' ') },
  { head: 'FORWARDS', cell: (row) => counted(row.forwards.map(({ kind, place }) => named(kind, place))) },
  { head: 'LISTENERS', cell: (row) => counted(row.listeners.map(({ kind, place }) => named(kind, place))) },
]

/** An agent's socket and a display have names that nobody chose. */
function named(kind: ConnectionRow['forwards'][number]['kind'], place: string): string {
  return kind === 'agent' || kind === 'x11' ? kind : place
}

/** "localhost:5432 x3": a browser has dozens of connections to one place. */
function counted(places: readonly string[]): string {
  return [...new Set(places)]
    .map((place) => {
      const count = places.filter((other) => other === place).length
      return count === 1 ? place : `${place} x${count}`
    })
    .join(', ')
}
