/** How commands name a gateway: several of a person may run, and its pid and addresses tell which one it is. */
import { at } from '../base/connection-facts.ts'
import type { ControlStatus } from '../control/protocol.ts'
import type { Column } from './table.ts'

type Gateway = Pick<ControlStatus, 'pid' | 'endpoints' | 'version' | 'isDraining'>

export function gatewayName({ pid, endpoints, version, isDraining }: Gateway): string {
  if (isDraining) return `gateway ${pid} (${version}, takes no new connections)`
  return `gateway ${pid} (${endpoints.map(at).join(', ')})`
}

/** "no sessions: gateway 42 (127.0.0.1:2222)": who was asked, also as what to end where a port is taken. */
export function noneOf(what: string, gateways: readonly Gateway[]): string {
  return `no ${what}: ${gateways.map(gatewayName).join(', ')}\n`
}

/** Which of several serves a row, and which version that is: of interest while one has handed over to another. */
export function gatewayColumns(gateways: readonly Gateway[]): Column<{ readonly gateway: number }>[] {
  if (!gateways.some(({ isDraining }) => isDraining)) return []
  const byPid = new Map(gateways.map((gateway) => [gateway.pid, gateway]))
  return [
    { head: 'GATEWAY', cell: ({ gateway }) => String(gateway), keep: true },
    { head: 'VERSION', cell: ({ gateway }) => versionCell(byPid.get(gateway)) },
  ]
}

function versionCell({ version = 'older', isDraining }: Partial<Gateway> = {}): string {
  return isDraining ? `${version} (draining)` : version
}
