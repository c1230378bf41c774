/**
 * `picker.again`: when the session in what was picked has ended, its terminal asks for the next one, so that a second factor
 * is typed once. Each round is a session like any other, to a destination of its own; only the channel stays open.
 */
import type { FailureCode, HatchwayError } from '../base/errors.ts'
import { printable } from '../base/printable.ts'
import type { ExitStatus } from '../base/program.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import type { InputSink, PtyRequest, SessionEvents, SshSession } from '../ssh/session.ts'
import { type SessionDependencies, type SessionPlaces, serveSession } from './serve.ts'
import { say } from './tell.ts'

/** What ends more than the session in one container. */
const ENDS_ALL: ReadonlySet<FailureCode> = new Set<FailureCode>([
  'CLIENT_GONE',
  'CONTAINER_CHANGED',
  'INTERNAL',
  'SESSION_EXPIRED',
  'SESSION_KILLED',
  'TOO_MANY_SESSIONS',
])

/** @param anew places with a destination in which nothing has been chosen. Resolves when the channel is over; never rejects. */
export async function serveRounds(
  session: SshSession,
  first: SessionPlaces,
  anew: () => SessionPlaces,
  deps: SessionDependencies,
): Promise<void> {
  let pty = session.pty
  let last: ExitStatus | undefined
  for (let places = first; ; places = anew()) {
    const round = openRound(session, pty)
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
    if (!failure)
      say(session, `${printable(picked)}: the session ended (${'code' in status ? status.code : status.signal})`)
    last = status
  }
}

interface Round {
  readonly session: SshSession
  /** The terminal as it is now. */
  pty(): PtyRequest | undefined
  /** Takes input back from the program. Returns how the round ended; undefined: it has not said. */
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
    close() {
      session.listen(undefined)
      input?.stop()
      forget()
      over.abort()
      return status
    },
  }
}
