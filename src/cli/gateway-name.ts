/** How commands name a gateway: several of a person may run, and its pid and addresses tell which one it is. */
import { at } from '../base/connection-facts.ts'
import type { ControlStatus } from '../control/protocol.ts'

type Gateway = Pick<ControlStatus, 'pid' | 'endpoints'>

export function gatewayName({ pid, endpoints }: Gateway): string {
  return `gateway ${pid} (${endpoints.map(at).join(', ')})`
}

/** "no sessions: gateway 42 (127.0.0.1:2222)": who was asked, also as what to end where a port is taken. */
export function noneOf(what: string, gateways: readonly Gateway[]): string {
  return `no ${what}: ${gateways.map(gatewayName).join(', ')}\n`
}
