/** -L, -D, -W and unix sockets: a connection to somewhere inside, made in the container's own network namespace. */
import { containerFacts, type Whose } from '../base/connection-facts.ts'
import { asHatchwayError, HatchwayError } from '../base/errors.ts'
import { clientText } from '../base/printable.ts'
import type { InsideEnd } from '../bytes/relay.ts'
import type { Target } from '../container/containers.ts'
import type { Engine } from '../engine/engine.ts'
import { type Guest, GuestRefusal } from '../guest/guest.ts'
import { meantHost } from '../net/address.ts'
import type { Action } from '../policy/request.ts'
import type { ConnectionHandlers, DirectTarget, OpenFailure } from '../ssh/connection.ts'
import { type ForwardBook, forwardFacts } from './book.ts'
import type { ForwardFailure } from './forward-events.ts'
import { connectFromOutside } from './outside.ts'
import { NO_HELPER, placeName, STRERROR } from './words.ts'

export interface DirectDependencies {
  readonly whose: Whose
  readonly emit: (event: ForwardFailure) => void
  /** The connection's container, after the policy said yes to the action. @throws HatchwayError */
  readonly enter: (action: Action, signal: AbortSignal) => Promise<{ readonly target: Target }>
  readonly engine: Engine
  readonly book: ForwardBook
  readonly guestFor: (target: Target, signal: AbortSignal) => Promise<Guest | undefined>
  /** What was granted goes on; `end` is called when it is withdrawn. Returns how to let go. */
  readonly hold: (actions: readonly [Action], target: Target, end: () => void) => () => void
}

/** Its container is asked for anew with each connection, as it is now: it may have been stopped, or replaced. */
export function directForwards(deps: DirectDependencies): Required<ConnectionHandlers>['direct'] {
  function connect(
    target: DirectTarget,
    guest: Guest | undefined,
    { container }: Target,
    signal: AbortSignal,
  ): Promise<InsideEnd> {
    if (guest) return guest.connect(target, signal)
    if (target.kind === 'unix') throw new HatchwayError('NOT_SUPPORTED', NO_HELPER)
    return connectFromOutside(deps.engine, container, target, signal)
  }

  return async (asked, signal): Promise<InsideEnd | OpenFailure> => {
    // The policy is asked for the address that is meant, whatever its spelling.
    const target = asked.kind === 'tcp' ? { ...asked, host: meantHost(asked.host) } : asked
    const about = { type: 'forward-failed', whose: deps.whose, kind: 'local' } as const
    let where: Target | undefined
    // No limit of its own over those of each step, as there may be thousands of these, and a timer and a signal cost.
    try {
      const action = actionOf(target)
      const entered = await deps.enter(action, signal)
      where = entered.target
      const guest = await deps.guestFor(entered.target, signal)
      const end = await connect(target, guest, entered.target, signal)
      const letGo = deps.hold([action], entered.target, () => end.destroy())
      const facts = forwardFacts('local', placeName(target), entered.target)
      const told = deps.book.opened(guest ? facts : { ...facts, road: 'plain' }, end.traffic)
      end.whenClosed(() => {
        letGo()
        told()
      })
      return end
    } catch (error) {
      if (error instanceof GuestRefusal) {
        const reason = STRERROR[error.errno] ?? error.errno
        const inside = where && { container: containerFacts(where.container), user: where.info.name }
        deps.emit({ ...about, ...inside, place: clientText(placeName(target)), reason })
        return { reason: 'connect-failed', message: reason }
      }
      const failure = asHatchwayError(error)
      const { code, message } = failure
      deps.emit({ ...about, place: clientText(placeName(target)), reason: message, code, error: failure.cause })
      return { reason: failure.code === 'NOT_PERMITTED' ? 'prohibited' : 'connect-failed', message: failure.message }
    }
  }
}

function actionOf(target: DirectTarget): Action {
  return target.kind === 'tcp'
    ? { kind: 'forward-local', host: target.host, port: target.port }
    : { kind: 'forward-socket', path: target.path, direction: 'local' }
}
