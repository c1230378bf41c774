/** Forwarding through the container's own network namespace: -L, -D, -W (direct), -R (listen inside), unix sockets. */
import { setImmediate } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Identity } from '../auth/identity.ts'
import type { Engine } from '../engine/engine.ts'
import { asHatchwayError, HatchwayError } from '../errors.ts'
import { type Guest, type GuestListener, GuestRefusal } from '../guest/guest.ts'
import { type Deadline, openDeadline } from '../lifetime/deadline.ts'
import type { Action } from '../policy/policy.ts'
import type { End } from '../relay.ts'
import type {
  ConnectionHandlers,
  DirectTarget,
  Endpoint,
  ForwardBind,
  OpenFailure,
  SshConnection,
} from '../ssh/connection.ts'
import type { Target } from '../target/containers.ts'
import { type BindSettings, bindInside, boundAddress } from './bind.ts'
import { joinInward } from './join.ts'
import { connectFromOutside } from './outside.ts'

/** For the helper to listen. What comes before (an image's pull, a start, a delivery) has limits of its own. */
const LISTEN_MS = 30_000
const NO_HELPER = 'forwarding needs the guest helper, which this container cannot have'

interface ForwardDependencies {
  readonly connection: SshConnection<Identity>
  readonly log: Logger
  /** The connection's container, after the policy said yes to the action. @throws HatchwayError */
  readonly enter: (action: Action, signal: AbortSignal) => Promise<{ readonly target: Target }>
  readonly engine: Engine
  readonly binds: BindSettings
  readonly guestFor: (target: Target, signal: AbortSignal) => Promise<Guest | undefined>
  /** What was granted goes on; `end` is called when it is withdrawn. Answers how to let go. */
  readonly hold: (actions: readonly [Action], target: Target, end: () => void) => () => void
}

export function forwards(
  deps: ForwardDependencies,
): Required<Pick<ConnectionHandlers, 'direct' | 'forward' | 'cancelForward'>> {
  const { connection, log } = deps
  const listeners = new Map<string, GuestListener>()
  connection.closed.addEventListener('abort', () => {
    for (const listener of listeners.values()) void listener.close()
    listeners.clear()
  })

  /** The connection's container and the helper in it, after the policy said yes. @throws HatchwayError */
  async function insideOf(action: Action, signal: AbortSignal) {
    const { target } = await deps.enter(action, signal)
    const hold = (end: () => void) => deps.hold([action], target, end)
    return { container: target.container, guest: await deps.guestFor(target, signal), hold }
  }

  return {
    async direct(target, signal): Promise<End | OpenFailure> {
      // No limit of its own over those of each step, as there may be thousands of these, and a timer and a signal cost.
      try {
        const { container, guest, hold } = await insideOf(localAction(target), signal)
        const connect = () => {
          if (guest) return guest.connect(target, signal)
          if (target.kind === 'unix') throw new HatchwayError('NOT_SUPPORTED', NO_HELPER)
          return connectFromOutside(deps.engine, container, target, signal)
        }
        const end = await connect()
        end.whenClosed(hold(() => end.destroy()))
        return end
      } catch (error) {
        if (error instanceof GuestRefusal) return { reason: 'connect-failed', message: error.errno }
        const failure = asHatchwayError(error)
        log.info({ code: failure.code, err: failure.cause, target: describe(target) }, 'forward refused')
        return { reason: failure.code === 'NOT_PERMITTED' ? 'prohibited' : 'connect-failed', message: failure.message }
      }
    },

    async forward(bind): Promise<number | undefined> {
      const key = describe(bind)
      let limit: Deadline | undefined
      try {
        if (listeners.has(key)) return undefined
        const { guest, hold } = await insideOf(remoteAction(bind, deps.binds), connection.closed)
        if (!guest) throw new HatchwayError('NOT_SUPPORTED', NO_HELPER)
        limit = openDeadline(LISTEN_MS, connection.closed)
        const accepted = new Set<End>()
        const listening = guest.listen(
          bindInside(bind, deps.binds),
          ({ end, address, port }) => {
            accepted.add(end)
            end.whenClosed(() => accepted.delete(end))
            void joinInward(end, openForwarded({ address, port }))
          },
          limit.signal,
        )
        // A connection may come with the news that the listener listens: the client must have been told before.
        const told = listening.then(({ port }) => setImmediate(port))
        told.catch(() => {})
        const openForwarded = async (from: Endpoint) => connection.openForwarded(boundAs(bind, await told), from)
        const listener = await listening
        if (connection.closed.aborted) {
          void listener.close()
          return undefined
        }
        const name = describe(boundAs(bind, listener.port))
        listeners.set(name, listener)
        const letGo = hold(() => {
          void listener.close()
          for (const end of accepted) end.destroy()
        })
        void listener.ended.then(() => {
          listeners.delete(name)
          letGo()
        })
        return listener.port
      } catch (error) {
        const failure = error instanceof GuestRefusal ? error : asHatchwayError(error)
        log.info({ err: failure, bind: key }, 'remote forward refused')
        return undefined
      } finally {
        limit?.release()
      }
    },

    async cancelForward(bind): Promise<boolean> {
      const listener = listeners.get(describe(bind))
      listeners.delete(describe(bind))
      await listener?.close()
      return listener !== undefined
    },
  }
}

function localAction(target: DirectTarget): Action {
  return target.kind === 'tcp'
    ? { kind: 'forward-local', host: target.host, port: target.port }
    : { kind: 'forward-socket', path: target.path, direction: 'local' }
}

function remoteAction(bind: ForwardBind, { gatewayPorts }: BindSettings): Action {
  return bind.kind === 'tcp'
    ? { kind: 'forward-remote', host: bind.host, port: bind.port, bound: boundAddress(bind.host, gatewayPorts) }
    : { kind: 'forward-socket', path: bind.path, direction: 'remote' }
}

function boundAs(bind: ForwardBind, port: number): ForwardBind {
  return bind.kind === 'tcp' ? { ...bind, port } : bind
}

function describe(end: DirectTarget | ForwardBind): string {
  return end.kind === 'tcp' ? `${end.host}:${end.port}` : end.path
}
