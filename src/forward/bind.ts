/** Where -R listens inside, as sshd decides it (GatewayPorts, StreamLocalBindUnlink, StreamLocalBindMask). */

import type { GuestBind } from '../guest/guest.ts'
import { meantHost } from '../net/address.ts'
import type { ForwardBind } from '../ssh/connection.ts'

export interface BindSettings {
  readonly gatewayPorts: 'no' | 'yes' | 'clientspecified'
  readonly streamLocalBindUnlink: boolean
  /** Permission bits that a socket does not get. */
  readonly streamLocalBindMask: number
}

export function bindInside(bind: ForwardBind, settings: BindSettings): GuestBind {
  if (bind.kind === 'unix') {
    const mode = 0o777 & ~settings.streamLocalBindMask
    return { kind: 'unix', path: bind.path, mode, unlink: settings.streamLocalBindUnlink }
  }
  return { kind: 'tcp', host: boundAddress(bind.host, settings.gatewayPorts), port: bind.port }
}

/** channels.c channel_fwd_bind_addr(). To the helper "" is every address, "localhost" both loopbacks. */
export function boundAddress(asked: string, gatewayPorts: BindSettings['gatewayPorts']): string {
  if (gatewayPorts === 'yes') return ''
  if (asked === '127.0.0.1' || asked === '::1') return asked
  if (gatewayPorts === 'no') return 'localhost'
  return asked === '*' ? '' : meantHost(asked)
}
