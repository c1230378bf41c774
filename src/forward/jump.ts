/**
 * A jump (ssh -J, ssh -W): port 22 of a container, asked for on a connection to the gateway itself, is answered by our
 * own SSH server over that channel. It is a login there, not a forward: it is put to the policy as entering the container,
 * and goes on as the same identity with the same restrictions. In a connection to a container, port 22 stays the
 * container's own.
 */
import type { Duplex } from 'node:stream'
import type { Whose } from '../base/connection-facts.ts'
import { asHatchwayError } from '../base/errors.ts'
import { clientText } from '../base/printable.ts'
import { engineLimit } from '../engine/messages.ts'
import { withDeadline } from '../lifetime/deadline.ts'
import type { ConnectionHandlers, OpenFailure } from '../ssh/connection.ts'
import type { JumpEvent } from './forward-events.ts'

const JUMP_MS = 30_000
const SSH_PORT = 22

export interface JumpDependencies {
  readonly whose: Whose
  readonly emit: (event: JumpEvent) => void
  /** @throws HatchwayError when no such container may be entered */
  readonly demandHost: (host: string, signal: AbortSignal) => Promise<void>
  readonly serve: (channel: Duplex, host: string) => void
}

export function createJump({
  whose,
  emit,
  demandHost,
  serve,
}: JumpDependencies): Required<ConnectionHandlers>['direct'] {
  return async (target, signal) => {
    if (target.kind === 'unix') return refused('no container named, so no socket in one')
    const { host, port } = target
    if (port !== SSH_PORT) return refused('to jump into a container ask for its port 22')
    try {
      await withDeadline(engineLimit('asking for a container', JUMP_MS), [signal], (limit) => demandHost(host, limit))
    } catch (error) {
      const failure = asHatchwayError(error)
      emit({ type: 'jump', whose, host: clientText(host), refused: failure })
      return { reason: 'connect-failed', message: failure.message }
    }
    emit({ type: 'jump', whose, host: clientText(host) })
    return (channel) => serve(channel, host)
  }
}

function refused(message: string): OpenFailure {
  return { reason: 'prohibited', message }
}
