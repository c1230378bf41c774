/**
 * `picker.again`: when the session in what was picked has ended, its terminal asks for the next one, so that a second factor
 * is typed once. Each round is a session like any other, to a destination of its own; only the channel stays open. What a
 * round was lent, made or started, and what holds it, ends with the round.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { FailureCode, HatchwayError } from '../base/errors.ts'
import { printable } from '../base/printable.ts'
import type { ExitStatus } from '../base/program.ts'
import type { Inward } from '../forward/inward.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import { isDumb, RESET_MODES } from '../picker/terminal.ts'
import type { InputSink, PtyRequest, SessionEvents, SshSession } from '../ssh/session.ts'
import { type SessionDependencies, type SessionPlaces, serveSession } from './serve.ts'
import { say } from './tell.ts'

/** What ends more than the session in one container. */
const ENDS_ALL: ReadonlySet<FailureCode> = new Set<FailureCode>([
  'CLIENT_GONE',
  'CONTAINER_CHANGED',
  'INTERNAL',
  'LOGIN_REFUSED',
  'SESSION_EXPIRED',
  'SESSION_KILLED',
  'TOO_MANY_SESSIONS',
])

/** After a round that failed: input that is a program's could make one after the other. */
const FAILED_PAUSE_MS = 1000

/** Where rounds are; `closed` aborts at a round's end, or at an earlier one of the channel. */
export interface RoundPlaces {
  /** The connection's own: other sessions and forwards of it go there, too, and stay there. */
  readonly first: SessionPlaces
  /** With a destination in which nothing has been chosen, and a gate of which nothing was asked. */
  anew(closed: AbortSignal): SessionPlaces
  /** Lends an agent or a display until then. */
  inwardUntil(closed: AbortSignal): Inward
}

/** Resolves when the channel is over; never rejects. */
export async function serveRounds(
  session: SshSession,
  at: RoundPlaces,
  deps: SessionDependencies,
  pauseMs = FAILED_PAUSE_MS,
): Promise<void> {
  let pty = session.pty
  let last: ExitStatus | undefined
  for (let isFirst = true; ; isFirst = false) {
    const round = openRound(session, pty)
    const { closed } = round.session
    const places = isFirst ? at.first : at.anew(closed)
    const inward = at.inwardUntil(closed)
    let picked: string | undefined
    let failure: HatchwayError | undefined
    const asking: SessionPlaces = {
      ...places,
      destination: {
        enter: places.destination.enter,
        async unknown() {
          const question = await places.destination.unknown()
          return (
            question && {
              ...question,
              async choose(ref) {
                await question.choose(ref)
                picked = ref
              },
            }
          )
        },
      },
      inward: {
        // Where nobody picks there is no other round, and as with sshd the agent stays for the connection.
        environment: (...asked) => (isFirst && picked === undefined ? places.inward : inward).environment(...asked),
      },
      failed: (why) => {
        failure = why
      },
    }
    await serveSession(round.session, asking, deps)
    const status = round.close()
    pty = round.pty()
    const isOver = session.closed.aborted || (failure !== undefined && ENDS_ALL.has(failure.code))
    if (picked === undefined || isOver || status === undefined) {
      // Who leaves the picker has the exit status of the session before.
      const left = picked === undefined && failure === undefined && last !== undefined ? last : status
      await session.exit(left ?? { code: 255 })
      const why = failure
      if (why) onAbort(session.closed, () => places.failed(why))
      return
    }
    last = status
    if (round.ran()) {
      if (pty && !isDumb(pty)) session.write(1, Buffer.from(RESET_MODES))
      // Of a failure, too: it may have been told on a screen that is gone now.
      const how = failure?.message ?? ('code' in status ? status.code : status.signal)
      say(session, `${printable(picked)}: the session ended (${how})`)
    }
    if (failure) await delay(pauseMs, undefined, { signal: session.closed }).catch(() => {})
  }
}

interface Round {
  readonly session: SshSession
  /** The terminal as it is now. */
  pty(): PtyRequest | undefined
  /** Has a program had the terminal? */
  ran(): boolean
  /** Takes input back from the program, and ends what was the round's. Returns how the round ended; undefined: it has not said. */
  close(): ExitStatus | undefined
}

/** The session as one round has it: its end is not the channel's. */
function openRound(session: SshSession, pty: PtyRequest | undefined): Round {
  const over = new AbortController()
  let size = pty
  let status: ExitStatus | undefined
  let input: { stop(): void } | undefined
  const { pty: _asked, ...rest } = session
  const forget = onAbort(session.closed, () => over.abort(session.closed.reason))
  return {
    session: {
      ...rest,
      ...(pty && { pty }),
      closed: over.signal,
      listen(events: SessionEvents | undefined) {
        session.listen(
          events && {
            ...events,
            resize(to) {
              if (size) size = { ...size, ...to }
              events.resize?.(to)
            },
          },
        )
      },
      pour(sink: InputSink) {
        const poured = session.pour(sink)
        input = poured
        return poured
      },
      // There is a reader again in the next round.
      stopReading() {},
      async exit(how) {
        status = how
      },
    },
    pty: () => size,
    ran: () => input !== undefined,
    close() {
      session.listen(undefined)
      input?.stop()
      forget()
      over.abort()
      return status
    },
  }
}
