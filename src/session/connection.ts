/** What a connection may do once it is proved: sessions, forwards and jumps, all by one gate and to one destination. */
import type { Duplex } from 'node:stream'
import type { Logger } from 'pino'
import type { Identity } from '../auth/identity.ts'
import { connectionFacts } from '../base/connection-facts.ts'
import { asHatchwayError, HatchwayError } from '../base/errors.ts'
import { clientText } from '../base/printable.ts'
import type { Target } from '../container/containers.ts'
import { guestUserOf } from '../container/envinfo.ts'
import type { BindSettings } from '../forward/bind.ts'
import { directForwards } from '../forward/direct.ts'
import type { ForwardFailure, JumpEvent } from '../forward/forward-events.ts'
import { createInward } from '../forward/inward.ts'
import { createJump } from '../forward/jump.ts'
import { remoteForwards } from '../forward/remote.ts'
import type { Guest } from '../guest/guest.ts'
import type { GuestPool } from '../guest/pool.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import { createGate } from '../policy/gate.ts'
import type { PolicyKeeper } from '../policy/live-policy.ts'
import { type PolicyEvent, whoseOf } from '../policy/policy-events.ts'
import type { Action } from '../policy/request.ts'
import { MAX_IDENTITY_BYTES } from '../sftp/spool.ts'
import type { AuthContext } from '../ssh/auth.ts'
import { Budgets } from '../ssh/budget.ts'
import type { Carried, ConnectionHandlers, Endpoint, SshConnection } from '../ssh/connection.ts'
import { originOf } from './admit.ts'
import type { ConnectionRegistry } from './connection-registry.ts'
import type { Destinations } from './destination.ts'
import { PerIdentity } from './per-identity.ts'
import { serveRounds } from './rounds.ts'
import { type SessionDependencies, type SessionLimits, serveSession } from './serve.ts'
import type { SessionEvent } from './session-events.ts'

export interface ConnectionDependencies extends SessionDependencies {
  readonly emit: (event: SessionEvent | PolicyEvent | ForwardFailure | JumpEvent) => void
  readonly destinations: Destinations
  readonly connections: Pick<ConnectionRegistry, 'open'>
  /** Absent with `guest: off`. */
  readonly guests: Pick<GuestPool, 'acquire'> | undefined
  readonly policy: PolicyKeeper
  /** What is remembered of this container is wrong now. */
  readonly forget: (containerId: string) => void
  readonly binds: BindSettings
  /** The picker comes back when the session in what was picked has ended. */
  readonly pickAgain: boolean
  readonly limits: () => ConnectionLimits
  /** Would what somebody was proved by let them in at this login, too, and on the same terms? */
  readonly holds: (identity: Identity, context: AuthContext) => Promise<boolean>
  /** Serve one more SSH connection, over this stream. */
  readonly inject: (stream: Duplex, remote: Endpoint, local: Endpoint, carried: Carried<Identity>) => void
}

export interface ConnectionLimits extends SessionLimits {
  /** 0: any number. */
  readonly maxConnectionsPerIdentity: number
}

/** Neither can be had without a helper. */
const INWARD: readonly string[] = ['agent', 'x11']

/** For a client to read a refusal before the connection ends behind it. */
const REFUSAL_READ_MS = 250

export function createConnections(
  deps: ConnectionDependencies,
  gatewayLog: Logger,
): (connection: SshConnection<Identity>) => ConnectionHandlers {
  const perIdentity = new PerIdentity()
  const spools = new Budgets(MAX_IDENTITY_BYTES)

  return (connection) => {
    const { identity } = connection
    const { remote } = connection
    const log = gatewayLog.child(connectionFacts({ connectionId: connection.id, remote }, identity))
    const book = deps.connections.open(connection)
    const spool = spools.enter(identity.name)
    const who = { identity, origin: originOf({ ...connection, connectionId: connection.id }) }
    const whose = whoseOf(who)
    const { emit } = deps
    const inwardUntil = (closed: AbortSignal) => createInward(connection, closed, book, log)
    const inward = inwardUntil(connection.closed)
    const { destination, gate } = openPlace(connection.closed)

    /** Where one thing after the other goes on this connection; with `picker.again` each round has one, until its end. */
    function openPlace(closed: AbortSignal, toGateway?: Promise<boolean>) {
      const destination = deps.destinations.open(who, closed, prove, toGateway)
      return { destination, gate: createGate(deps.policy, who, destination.now, closed, emit) }
    }

    /** What was chosen after the login is as if it had been asked for there: on no other terms. */
    async function prove(login: string): Promise<void> {
      const { id: connectionId, remote, local, closed: signal } = connection
      if (await deps.holds(identity, { connectionId, user: login, remote, local, signal })) return
      throw new HatchwayError(
        'NOT_PERMITTED',
        `what you logged in with does not hold there; try ssh ${clientText(login)}@GATEWAY`,
      )
    }

    async function guestFor({ container, info }: Target, signal: AbortSignal): Promise<Guest | undefined> {
      const user = guestUserOf(info)
      try {
        return await deps.guests?.acquire(container, user, signal)
      } catch (error) {
        if (asHatchwayError(error).code === 'USER_CHANGED') deps.forget(container.id)
        throw error
      }
    }

    /**
     * Nothing can be had by this connection any more: its client, a ControlMaster or an autossh, shall make another.
     *
     * @param afterMs a ControlMaster that reads the refusal of a forward and the end of the connection together ends without
     *   telling the client whose forward it was
     */
    function leaveIfChanged(failure: HatchwayError, afterMs = 0): void {
      if (failure.code !== 'CONTAINER_CHANGED') return
      const leave = () => connection.disconnect(`hatchway: ${failure.message}`)
      if (afterMs === 0) leave()
      else setTimeout(leave, afterMs).unref()
    }

    onAbort(connection.closed, spool.leave)
    perIdentity.limit(connection, deps.limits().maxConnectionsPerIdentity, whose, emit)
    const places = {
      connection,
      whose,
      destination,
      gate,
      inward,
      guestFor,
      space: spool.budget,
      log,
      failed: leaveIfChanged,
    }
    const forwarding = {
      connection,
      log,
      whose,
      emit,
      engine: deps.road.engine,
      binds: deps.binds,
      enter: (action: Action, signal: AbortSignal) =>
        destination.enter(gate, [action], signal).catch((error: unknown) => {
          leaveIfChanged(asHatchwayError(error), REFUSAL_READ_MS)
          throw error
        }),
      again: (action: Action, entered: Target, signal: AbortSignal) => destination.again(gate, action, entered, signal),
      guestFor,
      book,
      hold: gate.hold,
    }
    const direct = directForwards(forwarding)
    const jump = createJump({
      whose,
      emit,
      demandHost: async (host, signal) => {
        const route = deps.destinations.routeFor({ login: '', host })
        if (!('template' in route))
          await deps.destinations.find({ identity, origin: { ...who.origin, host } }, route, signal)
      },
      serve: (channel, host) => deps.inject(channel, connection.remote, connection.local, { host, identity }),
    })

    return {
      // The client says to its user what it cannot have.
      allow: async (action) => (deps.guests || !INWARD.includes(action.kind) ? gate.allow(action) : false),
      session(session) {
        if (session.start.kind === 'subsystem' && session.start.name !== 'sftp') return session.reject()
        if (deps.pickAgain && session.start.kind === 'shell' && session.pty) {
          const anew = (closed: AbortSignal) => ({ ...places, ...openPlace(closed, destination.toGateway) })
          void serveRounds(session, { first: places, anew, inwardUntil }, deps)
        } else void serveSession(session, places, deps)
      },
      ...remoteForwards(forwarding),
      direct: async (target, signal) => ((await destination.toGateway) ? jump(target, signal) : direct(target, signal)),
    }
  }
}
