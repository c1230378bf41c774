/**
 * The story of a connection and its sessions, from top to bottom. There is no middleware chain: the order is security,
 * so it is read in one place.
 */
import type { Duplex } from 'node:stream'
import type { Logger } from 'pino'
import type { Identity } from '../auth/identity.ts'
import { asHatchwayError, FAILURES, HatchwayError } from '../base/errors.ts'
import { clientText } from '../base/printable.ts'
import type { Target } from '../container/containers.ts'
import { sessionEnvironment } from '../container/environment.ts'
import type { PlainRoad } from '../container/plain.ts'
import { isRestricted, refusesLogin, sessionProgram } from '../container/program.ts'
import { runProgram } from '../container/run.ts'
import { runSftp } from '../container/sftp.ts'
import type { OutputSink } from '../engine/engine.ts'
import { engineLimit } from '../engine/messages.ts'
import type { BindSettings } from '../forward/bind.ts'
import { directForwards } from '../forward/direct.ts'
import { createInward, type HoldInward } from '../forward/inward.ts'
import { createJump } from '../forward/jump.ts'
import { remoteForwards } from '../forward/remote.ts'
import type { Guest } from '../guest/guest.ts'
import type { GuestPool } from '../guest/pool.ts'
import { withDeadline } from '../lifetime/deadline.ts'
import { onAbort, unlessAborted } from '../lifetime/on-abort.ts'
import { askWhere } from '../picker/ask.ts'
import { effectiveStart } from '../policy/forced.ts'
import { createGate, sessionActions } from '../policy/gate.ts'
import { NOT_ACCEPTED_ANY_MORE, type PolicyKeeper } from '../policy/live-policy.ts'
import type { Action, Origin } from '../policy/request.ts'
import { MAX_IDENTITY_BYTES } from '../sftp/spool.ts'
import type { SftpTap } from '../sftp/tap.ts'
import type { AuthContext } from '../ssh/auth.ts'
import { Budgets } from '../ssh/budget.ts'
import type { Carried, ConnectionHandlers, Endpoint, SshConnection } from '../ssh/connection.ts'
import type { SshSession } from '../ssh/session.ts'
import type { Destinations } from './destination.ts'
import { greet } from './motd.ts'
import { PerIdentity } from './per-identity.ts'
import { pump } from './pump.ts'
import type { SessionRecord, SessionRegistry, SessionSnapshot } from './registry.ts'
import { interrupt, say, tell } from './tell.ts'
import { countingTraffic, limitTime, type TimeLimits } from './time-limits.ts'

export interface HandlerDependencies {
  readonly road: PlainRoad
  readonly destinations: Destinations
  /** Absent with `guest: off`. */
  readonly guests: GuestPool | undefined
  readonly policy: PolicyKeeper
  readonly registry: SessionRegistry
  /** What is remembered of this container is wrong now. */
  readonly forget: (containerId: string) => void
  readonly log: Logger
  /** Set in every session. */
  readonly environment: () => Readonly<Record<string, string>>
  readonly killTree: () => boolean
  readonly unrestrictedShells: () => readonly string[]
  readonly binds: BindSettings
  readonly logCommands: boolean
  /** The picker is numbered lines for everybody. */
  readonly pickLines: boolean
  /** Reads along with an sftp session, where somebody wants to know. */
  readonly tapSftp: (session: SessionSnapshot) => SftpTap | undefined
  /** Asked at every use: they may change while sessions live. */
  readonly limits: () => SessionLimits
  /** What who logs in with a shell on a terminal reads first; undefined: nothing. */
  readonly motd: () => Promise<Buffer | undefined>
  /** Would what somebody was proved by let them in at this login, too, and on the same terms? */
  readonly holds: (identity: Identity, context: AuthContext) => Promise<boolean>
  /** Serve one more SSH connection, over this stream. */
  readonly inject: (stream: Duplex, remote: Endpoint, local: Endpoint, carried: Carried<Identity>) => void
}

export interface SessionLimits extends TimeLimits {
  /** 0: any number. */
  readonly maxSessionsPerIdentity: number
  readonly maxConnectionsPerIdentity: number
}

/** A session must have its program running by then; every engine call within has its own, shorter limit. */
const START_MS = 60_000

/** An engine that is asked longer at the login goes on being asked in the session, which can say why. */
const ADMIT_MS = 10_000

/** Bytes: the rest of 256 KB would stay in memory for as long as the registry remembers the session. */
const MAX_COMMAND_SHOWN_BYTES = 4096

const INWARD: readonly string[] = ['agent', 'x11']

/** Failures that sshd would answer with "Permission denied": nobody of that name here, or nobody one may be. */
const UNKNOWN: readonly string[] = [
  'CONTAINER_NOT_FOUND',
  'CONTAINER_AMBIGUOUS',
  'USER_NOT_FOUND',
  'USER_BROKEN',
  'NOT_PERMITTED',
]

export interface Handler {
  /** A sentence when the user name leads nowhere for this identity; asked after its key was proved. */
  admit(identity: Identity, context: AuthContext): Promise<string | undefined>
  connection(connection: SshConnection<Identity>): ConnectionHandlers
}

export function createHandler(deps: HandlerDependencies): Handler {
  const connections = new PerIdentity()
  const spools = new Budgets(MAX_IDENTITY_BYTES)

  async function admit(identity: Identity, context: AuthContext): Promise<string | undefined> {
    const origin = originOf(context)
    const route = deps.destinations.routeFor(origin)
    try {
      const limit = engineLimit('asking for a container', ADMIT_MS)
      await withDeadline(limit, [context.signal], (signal) =>
        unlessAborted(deps.destinations.check({ identity, origin }, route, signal), signal),
      )
      return undefined
    } catch (error) {
      // An engine that is down or hangs is told in the session, where it may have come back.
      const failure = asHatchwayError(error)
      if (!UNKNOWN.includes(failure.code)) return undefined
      deps.log.info({ connection: context.connectionId, identity: identity.name, code: failure.code }, failure.message)
      return `hatchway: ${failure.message}`
    }
  }

  function connection(connection: SshConnection<Identity>): ConnectionHandlers {
    const log = deps.log.child({ connection: connection.id, identity: connection.identity.name })
    const spool = spools.enter(connection.identity.name)
    const { identity } = connection
    const who = { identity, origin: originOf({ ...connection, connectionId: connection.id }) }
    const destination = deps.destinations.open(who, connection.closed, prove)
    const gate = createGate(deps.policy, who, destination.now, connection.closed, log)
    const inward = createInward(connection, log)

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
      const user = { exec: info.engineUser, uid: info.uid, gid: info.gid }
      try {
        return await deps.guests?.acquire(container, user, signal)
      } catch (error) {
        if (asHatchwayError(error).code === 'USER_CHANGED') deps.forget(container.id)
        throw error
      }
    }

    /** Nothing can be had by this connection any more: its client, a ControlMaster or an autossh, shall make another. */
    function leaveIfChanged(failure: HatchwayError): void {
      if (failure.code === 'CONTAINER_CHANGED') connection.disconnect(`hatchway: ${failure.message}`)
    }

    async function serve(session: SshSession): Promise<void> {
      // Why it ends before its program does; the first reason counts.
      const ending = new AbortController()
      const { signal } = ending
      const stay = onAbort(session.closed, () => ending.abort(new HatchwayError('CLIENT_GONE', 'the client went away')))
      let timer: NodeJS.Timeout | undefined
      const clock = limitTime(
        deps.limits(),
        (text) => interrupt(session, `hatchway: ${text}`),
        (why) => ending.abort(new HatchwayError('SESSION_EXPIRED', `session ended: ${why}`)),
      )
      let sessionLog = log
      let record: SessionRecord | undefined
      const holds: (() => void)[] = []
      /** What is to run, until a line says that it does: a client that leaves before its program has started must not hide it. */
      let unsaid: { readonly start?: string; readonly command?: string } = {}

      session.accept()
      try {
        const question = session.start.kind === 'shell' ? await destination.unknown() : undefined
        const answer = question ? await askWhere(session, question, deps.pickLines, signal) : { pty: session.pty }
        if ('code' in answer) return await session.exit(answer)
        const { pty } = answer
        const today = await deps.policy.today(identity)
        if (!today) throw new HatchwayError('NOT_PERMITTED', NOT_ACCEPTED_ANY_MORE.reason)
        const { restrictions } = today
        const { start, original, sftp } = effectiveStart(session.start, restrictions.command)
        const actions = sessionActions(start, pty)
        const { target, granted } = await destination.enter(gate, actions, signal, (line) => say(session, line))
        const { container, info } = target
        // What starts within the limit may run for ever: the limit is lifted once the program runs.
        timer = setTimeout(() => ending.abort(tooSlow()), START_MS)
        record = deps.registry.open(
          {
            connectionId: connection.id,
            identity,
            remote: connection.remote,
            container: { id: container.id, name: container.name },
            user: info.name,
            start: start.kind,
            ...(start.kind === 'exec' && { command: start.command.toString('utf8', 0, MAX_COMMAND_SHOWN_BYTES) }),
            ...(start.kind === 'subsystem' && { command: start.name }),
            tty: pty !== undefined,
          },
          deps.limits().maxSessionsPerIdentity,
        )
        const hold = (permitted: readonly Action[], where: Target, readOnly: boolean) =>
          holds.push(gate.hold(permitted, where, () => ending.abort(withdrawn()), readOnly))
        const readOnly = sftp.readOnly || granted.readOnly
        hold(actions, target, readOnly)
        record.onKill((reason) => ending.abort(new HatchwayError('SESSION_KILLED', `session ${reason}`)))
        sessionLog = log.child({ session: record.id, container: container.name, user: info.name })
        unsaid = {
          start: start.kind,
          ...(deps.logCommands && start.kind === 'exec' && { command: clientText(start.command.toString()) }),
        }
        if (refusesLogin(info.shell))
          throw new HatchwayError('LOGIN_REFUSED', 'This account is currently not available.')

        const asked = await unlessAborted(gate.sift(session, target), signal)
        const env = sessionEnvironment({
          info,
          containerEnv: container.env,
          labels: container.labels,
          configured: deps.environment(),
          client: asked.env,
          key: restrictions.environment,
          ...(original !== undefined && { original }),
          remote: connection.remote,
          local: connection.local,
          ...(pty && { term: pty.term }),
        })
        const guest = container.state === 'running' ? await guestFor(target, signal) : undefined
        const holdInward: HoldInward = (action, end) => gate.hold([action], target, end)
        const lent = inward.environment(asked, guest, env, info.home, holdInward)
        env.push(...(await unlessAborted(lent, signal)))
        const place = { road: deps.road, container, user: info, guest, killTree: deps.killTree() }
        const asRoot = async () => {
          const action = { kind: 'sftp' } as const
          const root = { container, info: { ...info, name: 'root', uid: 0, gid: 0, known: true } }
          const allowed = await gate.demand(action, root)
          signal.throwIfAborted()
          hold([action], root, readOnly || allowed.readOnly)
          return allowed
        }
        const restricted = isRestricted(info.shell, deps.unrestrictedShells())
        const files = {
          ...sftp,
          readOnly,
          byShell: restricted && !sftp.internal,
          space: spool.budget,
          asRoot,
        }
        const run = (sink: OutputSink) =>
          start.kind === 'subsystem'
            ? runSftp(place, info, env, files, sink, signal)
            : runProgram(place, sessionProgram(start, info, env, restricted), pty, sink, signal)

        if (session.earlier) await unlessAborted(session.earlier, signal)
        if (start.kind === 'shell' && pty) await greet(session, deps.motd, log)
        const live = record
        const status = await pump(
          session,
          async (sink) => {
            const exec = await run(sink)
            // What ended the session while the program started ends the program, too.
            onAbort(signal, () => exec.close())
            sessionLog.info({ road: guest ? 'guest' : 'plain', ...unsaid }, 'session started')
            unsaid = {}
            if (signal.aborted) return exec
            clearTimeout(timer)
            live.running()
            clock.start()
            return exec
          },
          countingTraffic(record, clock),
          start.kind === 'subsystem' ? deps.tapSftp(record.snapshot()) : undefined,
        )
        // Its end may only be what our hanging up made of it.
        signal.throwIfAborted()
        await session.exit(status)
        record.end(status)
        const { bytesIn, bytesOut } = record.snapshot()
        sessionLog.info({ ...status, bytesIn, bytesOut }, 'session ended')
      } catch (error) {
        const failure = asHatchwayError(signal.aborted ? signal.reason : error)
        record?.end({ failure: failure.code, message: failure.message })
        const facts = { code: failure.code, ...unsaid, err: failure.cause }
        sessionLog[FAILURES[failure.code].level](facts, failure.message)
        await tell(session, failure)
        // Not before: a ControlMaster that is disconnected shows nothing more.
        onAbort(session.closed, () => leaveIfChanged(failure))
      } finally {
        clearTimeout(timer)
        stay()
        clock.stop()
        for (const letGo of holds) letGo()
      }
    }

    onAbort(connection.closed, spool.leave)
    connections.limit(connection, deps.limits().maxConnectionsPerIdentity, log)
    const forwarding = {
      connection,
      log,
      engine: deps.road.engine,
      binds: deps.binds,
      enter: (action: Action, signal: AbortSignal) =>
        destination.enter(gate, [action], signal).catch((error: unknown) => {
          // The client reads the refusal first, which needs no more than promises.
          setImmediate(leaveIfChanged, asHatchwayError(error))
          throw error
        }),
      again: (action: Action, entered: Target, signal: AbortSignal) => destination.again(gate, action, entered, signal),
      guestFor,
      hold: gate.hold,
    }
    const direct = directForwards(forwarding)
    const jump = createJump({
      log,
      demandHost: async (host, signal) => {
        const route = deps.destinations.routeFor({ login: '', host })
        if (!('template' in route))
          await deps.destinations.find({ identity, origin: { ...who.origin, host } }, route, signal)
      },
      serve: (channel, host) => deps.inject(channel, connection.remote, connection.local, { host, identity }),
    })

    return {
      // Neither can be had without a helper, and the client says so to its user.
      allow: async (action) => (deps.guests || !INWARD.includes(action.kind) ? gate.allow(action) : false),
      session(session) {
        if (session.start.kind === 'subsystem' && session.start.name !== 'sftp') return session.reject()
        void serve(session)
      },
      ...remoteForwards(forwarding),
      direct: async (target, signal) => ((await destination.toGateway) ? jump(target, signal) : direct(target, signal)),
    }
  }

  return { admit, connection }
}

function originOf(context: Pick<AuthContext, 'connectionId' | 'user' | 'host' | 'remote'>): Origin {
  const { connectionId, user, host, remote } = context
  return { connectionId, login: user, ...(host !== undefined && { host }), remote }
}

function withdrawn(): HatchwayError {
  return new HatchwayError('SESSION_KILLED', 'session ended: it is not permitted any more')
}

function tooSlow(): HatchwayError {
  return new HatchwayError('ENGINE_TIMEOUT', 'the container engine took too long to start the session')
}
