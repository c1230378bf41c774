/** A session that is recorded: what passes is taken along, and one that must be recorded waits for its record. */
import type { Whose } from '../base/connection-facts.ts'
import { HatchwayError } from '../base/errors.ts'
import type { WindowSize } from '../base/program.ts'
import type { RecordTerms } from '../config/recording.ts'
import type { InputSink, PtyRequest, SessionEvents, SessionStart, SshSession } from '../ssh/session.ts'
import type { SessionSnapshot } from './registry.ts'
import { interrupt, say } from './tell.ts'

export interface RecordingStart {
  readonly whose: Whose
  readonly session: SessionSnapshot
  readonly terms: RecordTerms
  readonly pty?: PtyRequest | undefined
  /** The whole command. */
  readonly command?: string | undefined
  /** A sentence for the person. */
  readonly tell: (sentence: string) => void
}

/** Chunks are lent. False: no more until `onDrain` is called. */
export interface SessionRecording {
  output(fd: 1 | 2, chunk: Buffer): boolean
  input(chunk: Buffer): boolean
  resize(size: WindowSize): void
  onDrain(callback: () => void): void
  /** The session is over. Returns at once; idempotent. */
  end(session: SessionSnapshot): void
}

/**
 * Undefined: it goes unrecorded, and may.
 * @throws HatchwayError RECORDING_UNAVAILABLE
 */
export type BeginRecording = (start: RecordingStart, signal: AbortSignal) => Promise<SessionRecording | undefined>

/** @throws HatchwayError RECORDING_UNAVAILABLE */
export async function recordSession(
  session: SshSession,
  { start, ...facts }: Omit<RecordingStart, 'tell' | 'command'> & { readonly start: SessionStart },
  begin: BeginRecording | undefined,
  signal: AbortSignal,
): Promise<SessionRecording | undefined> {
  const { mode, notice } = facts.terms
  if (!begin && mode === 'required') throw unrecordable(new Error('recording.directory is not set'))
  const tell = (sentence: string) =>
    session.pty ? interrupt(session, `hatchway: ${sentence}`) : say(session, sentence)
  const command = start.kind === 'exec' ? start.command.toString() : undefined
  const recording = await begin?.({ ...facts, ...(command !== undefined && { command }), tell }, signal)
  if (recording && notice) say(session, 'this session is recorded')
  return recording
}

/**
 * What a session asks for besides, once its record has begun or is not to be: what must be recorded of that is, or it is refused.
 * @throws HatchwayError NOT_PERMITTED
 */
export function demandRecorded(terms: RecordTerms | undefined, asked: RecordTerms | undefined): void {
  if (asked?.mode !== 'required') return
  if (terms?.mode === 'required' && asked.of.every((part) => terms.of.includes(part))) return
  throw new HatchwayError(
    'NOT_PERMITTED',
    'as root this session must be recorded, and as this user it is not: log in as root',
  )
}

export function unrecordable(cause: unknown): HatchwayError {
  const message = 'this session must be recorded, and cannot be: the gateway’s log says why'
  return new HatchwayError('RECORDING_UNAVAILABLE', message, { cause })
}

/** The session as its program has it; what the gateway itself says to the person goes past. */
export function recorded(session: SshSession, recording: SessionRecording): SshSession {
  const full = { client: false, output: false, input: false }
  let drain = () => {}
  let resume = () => {}
  recording.onDrain(() => {
    const { output, input } = full
    full.output = false
    full.input = false
    if (output && !full.client) drain()
    if (input) resume()
  })
  return {
    ...session,
    write(fd, chunk) {
      if (!recording.output(fd, chunk)) full.output = true
      if (!session.write(fd, chunk)) full.client = true
      return !full.client && !full.output
    },
    listen(events: SessionEvents | undefined) {
      drain = () => events?.drain?.()
      session.listen(
        events && {
          ...events,
          drain() {
            full.client = false
            if (!full.output) drain()
          },
          resize(size) {
            recording.resize(size)
            events.resize?.(size)
          },
        },
      )
    },
    pour(sink: InputSink) {
      let wantsMore = true
      const poured = session.pour({
        write(chunk) {
          if (!recording.input(chunk)) full.input = true
          wantsMore = sink.write(chunk)
          return wantsMore && !full.input
        },
        end: () => sink.end(),
      })
      resume = () => {
        if (wantsMore) poured.resume()
      }
      return {
        resume() {
          wantsMore = true
          if (!full.input) poured.resume()
        },
        stop: () => poured.stop(),
      }
    },
  }
}
