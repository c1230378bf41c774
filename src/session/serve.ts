/**
 * The story of one session, from top to bottom. There is no middleware chain: the order is security, so it is read in one
 * place, and test/session/serve.test.ts holds it call by call.
 */

import type { Logger } from 'pino'
import type { Identity } from '../auth/identity.ts'
import { containerFacts, type Whose } from '../base/connection-facts.ts'
import { asHatchwayError, type FailureCode, HatchwayError } from '../base/errors.ts'
import { clientText } from '../base/printable.ts'
import { type RecordSetting, strictest } from '../config/recording.ts'
import type { Target } from '../container/containers.ts'
import { sessionEnvironment } from '../container/environment.ts'
import type { PlainRoad } from '../container/plain.ts'
import { isRestricted, refusesLogin, sessionProgram } from '../container/program.ts'
import { runProgram } from '../container/run.ts'
import { runSftp } from '../container/sftp.ts'
import type { Container, OutputSink } from '../engine/engine.ts'
import type { HoldInward, Inward } from '../forward/inward.ts'
import type { Guest } from '../guest/guest.ts'
import { onAbort, unlessAborted } from '../lifetime/on-abort.ts'
import { askWhere } from '../picker/ask.ts'
import { effectiveStart } from '../policy/forced.ts'
import { type Gate, sessionActions } from '../policy/gate.ts'
import { NOT_ACCEPTED_ANY_MORE, type PolicyKeeper } from '../policy/live-policy.ts'
import type { Action } from '../policy/request.ts'
import type { FileTap } from '../sftp/file-tap.ts'
import type { Space } from '../sftp/spool.ts'
import type { SshConnection } from '../ssh/connection.ts'
import type { PtyRequest, SessionStart, SshSession } from '../ssh/session.ts'
import type { Destination } from './destination.ts'
import { createEnding } from './ending.ts'
import { type AnswerCommand, gatewayCommand } from './gateway-command.ts'
import { greet } from './motd.ts'
import { pump } from './pump.ts'
import { type BeginRecording, demandRecorded, recorded, recordSession, type SessionRecording } from './recording.ts'
import type { SessionFacts, SessionRecord, SessionRegistry, SessionSnapshot } from './registry.ts'
import type { RanFacts, SessionEvent } from './session-events.ts'
import { type SessionTimes, tellingFirst } from './session-times.ts'
import { interrupt, say, tell } from './tell.ts'
import { countingTraffic, type TimeLimits } from './time-limits.ts'

/** What all sessions share. What is a function is asked at every use: it may change while sessions live. */
export interface SessionDependencies {
  readonly emit: (event: SessionEvent) => void
  readonly road: PlainRoad
  readonly policy: Pick<PolicyKeeper, 'today'>
  readonly registry: Pick<SessionRegistry, 'open'>
  /** Set in every session. */
  readonly environment: () => Readonly<Record<string, string>>
  readonly killTree: () => boolean
  readonly unrestrictedShells: () => readonly string[]
  readonly logCommands: boolean
  /** The picker is numbered lines for everybody. */
  readonly pickLines: boolean
  /** Reads along with a session that moves files, where somebody wants to know. */
  readonly tapFiles: (whose: Whose, session: SessionSnapshot, start: SessionStart) => FileTap | undefined
  readonly limits: () => SessionLimits
  /** Absent: nothing can be recorded. */
  readonly record?: BeginRecording | undefined
  /** What a container's template wants to be recorded in it. */
  readonly templateRecord?: (container: Container) => RecordSetting | undefined
  /** Absent: nobody measures. */
  readonly times?: SessionTimes | undefined
  /** What a person who logs in with a shell on a terminal reads first; undefined: nothing. */
  readonly motd: () => Promise<Buffer | undefined>
  /** Answers a command that is the gateway's own. */
  readonly answer: AnswerCommand
}

export interface SessionLimits extends TimeLimits {
  /** 0: any number. */
  readonly maxSessionsPerIdentity: number
}

/** What the sessions of one connection share. */
export interface SessionPlaces {
  readonly whose: Whose
  readonly connection: Pick<SshConnection<Identity>, 'id' | 'identity' | 'user' | 'remote' | 'local'>
  readonly destination: Pick<Destination, 'unknown' | 'enter'>
  readonly gate: Gate
  readonly inward: Inward
  readonly guestFor: (target: Target, signal: AbortSignal) => Promise<Guest | undefined>
  /** For files on their way through the engine. */
  readonly space: Space
  readonly log: Logger
  /** The session ended by this failure, and its client has been told. */
  readonly failed: (failure: HatchwayError) => void
}

/** Bytes: the rest of 256 KB would stay in memory for as long as the registry remembers the session. */
const MAX_COMMAND_SHOWN_BYTES = 4096

/** What says no to a session before its program, though it was about to start: an sftp session may ask for more. */
const REFUSALS: ReadonlySet<FailureCode> = new Set<FailureCode>(['NOT_PERMITTED', 'CONTAINER_NOT_RUNNING'])

/** Resolves when the session is over; never rejects. */
export async function serveSession(session: SshSession, at: SessionPlaces, deps: SessionDependencies): Promise<void> {
  const { connection, destination, gate, whose } = at
  const { emit } = deps
  const ending = createEnding(session, deps.limits())
  const { signal } = ending
  let record: SessionRecord | undefined
  let recording: SessionRecording | undefined
  const holds: (() => void)[] = []
  /**
   * What is to run, until a line says that it does: a client that leaves before its program has started must not hide it.
   */
  let unsaid: RanFacts = {}

  session.accept()
  try {
    const command = gatewayCommand(session.start)
    const question = command || session.start.kind === 'shell' ? await destination.unknown() : undefined
    const answer =
      question && !command ? await askWhere(session, question, deps.pickLines, signal) : { pty: session.pty }
    if ('code' in answer) return await session.exit(answer)
    const { pty } = answer
    const today = await deps.policy.today(connection.identity)
    if (!today) throw new HatchwayError('NOT_PERMITTED', NOT_ACCEPTED_ANY_MORE.reason)
    const { restrictions } = today
    // What is forced is not for the gateway.
    if (command && question && restrictions.command === undefined) {
      await deps.answer(session, command, question, connection, signal)
      emit({ type: 'gateway-command', whose, command: command.name })
      return await session.exit({ code: 0 })
    }
    const { start, original, sftp } = effectiveStart(session.start, restrictions.command)
    const actions = sessionActions(start, pty)
    const began = performance.now()
    const { target, granted } = await destination.enter(gate, actions, signal, (line) => say(session, line))
    deps.times?.resolved(start.kind, performance.now() - began)
    const { container, info } = target
    ending.starting()
    const opened = deps.registry.open(factsOf(connection, target, start, pty), deps.limits().maxSessionsPerIdentity)
    record = opened
    const hold = (permitted: readonly Action[], where: Target, readOnly: boolean) => {
      const withdrawn = () => ending.end('SESSION_KILLED', 'session ended: it is not permitted any more')
      holds.push(gate.hold(permitted, where, withdrawn, readOnly))
    }
    const readOnly = sftp.readOnly || granted.readOnly
    hold(actions, target, readOnly)
    if (pty) opened.onNotice((sentence) => interrupt(session, `hatchway: ${sentence}`))
    opened.onKill((reason) => ending.end('SESSION_KILLED', `session ${reason}`))
    if (refusesLogin(info.shell)) throw new HatchwayError('LOGIN_REFUSED', 'This account is currently not available.')

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
    const guest = container.state === 'running' ? await at.guestFor(target, signal) : undefined
    const road = guest ? 'guest' : 'plain'
    const holdInward: HoldInward = (action, end) => gate.hold([action], target, end)
    const lent = at.inward.environment(asked, guest, env, target, holdInward)
    env.push(...(await unlessAborted(lent, signal)))

    const place = { road: deps.road, container, user: info, guest, killTree: deps.killTree() }
    const restricted = isRestricted(info.shell, deps.unrestrictedShells())
    const terms = strictest([granted.record, deps.templateRecord?.(container)])
    const asRoot = async () => {
      const action = { kind: 'sftp' } as const
      const root = { container, info: { ...info, name: 'root', uid: 0, gid: 0, known: true } }
      const allowed = await gate.demand(action, root)
      demandRecorded(terms, allowed.record)
      signal.throwIfAborted()
      hold([action], root, readOnly || allowed.readOnly)
      return allowed
    }
    const files = { ...sftp, readOnly, byShell: restricted && !sftp.internal, space: at.space, asRoot }
    const run = (sink: OutputSink) =>
      start.kind === 'subsystem'
        ? runSftp(place, info, env, files, sink, signal)
        : runProgram({ place, program: sessionProgram(start, info, env, restricted), tty: pty, sink, signal })

    recording =
      terms &&
      (await recordSession(session, { whose, session: opened.snapshot(), terms, pty, start }, deps.record, signal))
    if (session.earlier) await unlessAborted(session.earlier, signal)
    if (start.kind === 'shell' && pty) await greet(session, deps.motd, at.log)
    const counters = countingTraffic(opened, ending)
    const responded = () => deps.times?.responded(start.kind, road, performance.now() - began)
    const status = await pump(
      recording ? recorded(session, recording) : session,
      async (sink) => {
        unsaid = {
          start: start.kind,
          ...(deps.logCommands && start.kind === 'exec' && { command: clientText(start.command.toString()) }),
        }
        const exec = await run(sink)
        // What ended the session while the program started ends the program, too.
        onAbort(signal, () => exec.close())
        emit({ type: 'session-started', whose, session: opened.snapshot(), road, ...unsaid })
        unsaid = { start: start.kind }
        if (signal.aborted) return exec
        opened.running()
        ending.running()
        return exec
      },
      deps.times ? tellingFirst(counters, responded) : counters,
      deps.tapFiles(whose, opened.snapshot(), start),
    )
    // Its end may only be what our hanging up made of it.
    signal.throwIfAborted()
    await session.exit(status)
    opened.end(status)
    recording?.end(opened.snapshot())
    emit({ type: 'session-ended', whose, session: opened.snapshot(), status })
  } catch (error) {
    const failure = asHatchwayError(signal.aborted ? signal.reason : error)
    record?.end({ failure: failure.code, message: failure.message })
    if (record) recording?.end(record.snapshot())
    const ran = signal.aborted || !REFUSALS.has(failure.code) ? unsaid : {}
    emit({ type: 'session-failed', whose, ...(record && { session: record.snapshot() }), failure, ran })
    await tell(session, failure)
    // Not before: a ControlMaster that is disconnected shows nothing more.
    onAbort(session.closed, () => at.failed(failure))
  } finally {
    ending.stop()
    for (const letGo of holds) letGo()
  }
}

function factsOf(
  { id, identity, remote }: SessionPlaces['connection'],
  { container, info }: Target,
  start: SessionStart,
  pty: PtyRequest | undefined,
): SessionFacts {
  return {
    connectionId: id,
    identity,
    remote,
    container: containerFacts(container),
    user: info.name,
    start: start.kind,
    ...(start.kind === 'exec' && { command: start.command.toString('utf8', 0, MAX_COMMAND_SHOWN_BYTES) }),
    ...(start.kind === 'subsystem' && { command: start.name }),
    tty: pty !== undefined,
  }
}
