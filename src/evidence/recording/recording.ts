/**
 * The record of one session, while it is written: beside the data path, with a bound on what waits. One that is required
 * says when it can take no more; of one that is not, what finds no room is a gap, and marked.
 */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { isErrno } from '../../base/errors.ts'
import { replaceFile } from '../../base/whole-file.ts'
import type { RecordPart } from '../../config/recording.ts'
import { deferred } from '../../lifetime/deferred.ts'
import { onAbort } from '../../lifetime/on-abort.ts'
import type { RecordingStart, SessionRecording } from '../../session/recording.ts'
import type { SessionSnapshot } from '../../session/registry.ts'
import type { SigningKey } from '../audit/signing-key.ts'
import { castHeader, createCastEncoder } from './cast.ts'
import { exitCode, outcomeOf, startedFacts } from './facts.ts'
import { CAST, EVENTS, factsText, type Manifest, recordId, STARTED, type Started, writeManifest } from './manifest.ts'
import { createMemberFile } from './member-file.ts'
import { createRecordQueue, type QueueAccount } from './queue.ts'
import { type Patience, untilWritten } from './until-written.ts'

/** What comes within it becomes one member. */
const GATHER_MS = 500
const BATCH_BYTES = 256 * 1024
/** The same while more comes than can be made smaller: fewer turns of the threads. */
const HURRIED_BATCH_BYTES = 1024 * 1024
/** From here on, where more waits behind a batch, members are not made smaller, so that the disk is the only limit. */
const HURRY_BYTES = BATCH_BYTES + 64 * 1024
const RETRY_MS = 1_000
/** Sessions of the same second with the same random id. */
const MAX_NAMESAKES = 9

export interface RecordingDependencies {
  readonly directory: string
  readonly gateway: Started['gateway']
  readonly key: SigningKey
  readonly account: QueueAccount
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  /** One at a time of what takes a processor. */
  readonly turn: <T>(work: () => Promise<T>) => Promise<T>
  readonly retryMs?: number
}

export interface Sealed {
  readonly manifest: Manifest
  readonly bytes: Buffer
}

export interface Recording extends SessionRecording {
  readonly id: string
  /** A line of events.jsonl. */
  event(line: object): void
  readonly waitingBytes: number
  /** Undefined: it was given up, and is left for the next start. */
  readonly sealed: Promise<Sealed | undefined>
  /** Write no more: what waits is lost. */
  abandon(why: Error): void
}

/** @throws errno, or the signal's reason */
export async function beginRecording(
  start: RecordingStart,
  deps: RecordingDependencies,
  signal: AbortSignal,
): Promise<Recording> {
  const { terms, pty, whose, session } = start
  const mustKeep = terms.mode === 'required'
  const startedAt = Date.now()
  const zero = performance.now()
  const now = () => performance.now() - zero
  const life = new AbortController()
  let isBegun = false
  const patience: Patience = {
    retryMs: deps.retryMs ?? RETRY_MS,
    failing: (error) => (isBegun ? tellOf(error) : life.abort(error)),
  }
  const takes = (part: RecordPart) => terms.of.includes(part)
  const hasOutput = session.start !== 'subsystem' && takes(session.tty ? 'terminal' : 'commands')
  // Nobody out here knows whether a terminal inside echoes.
  const hasInput = hasOutput && takes('input') && !session.tty
  const { id, folder } = await makeFolder(deps.directory, recordId(startedAt, session.id))
  const facts = startedFacts(id, startedAt, start, deps.gateway)
  const cast = createMemberFile(join(folder, CAST), CAST, patience, deps.turn)
  const events = createMemberFile(join(folder, EVENTS), EVENTS, patience, deps.turn)
  const remove = onAbort(signal, (reason) => life.abort(reason))
  try {
    await replaceFile(join(folder, STARTED), factsText(facts), 0o600)
    const head = castHeader({
      startedAt,
      title: whose.login,
      command: facts.command,
      ...(pty && { terminal: { cols: pty.cols, rows: pty.rows, type: pty.term } }),
    })
    if (hasOutput) await cast.append(head, false, life.signal)
    life.signal.throwIfAborted()
  } catch (error) {
    await cast.close().catch(() => undefined)
    await rm(folder, { recursive: true, force: true }).catch(() => undefined)
    throw error
  } finally {
    remove()
  }
  isBegun = true

  const encoder = createCastEncoder(session.tty)
  const queue = createRecordQueue(mustKeep, deps.account)
  const sealed = deferred<Sealed | undefined>()
  let timer: NodeJS.Timeout | undefined
  let working: Promise<void> | undefined
  let isEnded = false
  /** More comes than a processor can make smaller. */
  let isHurried = false
  let drained = () => {}

  function tellOf(error: unknown): void {
    const at = { record: id, session: session.id, identity: whose.identity.name }
    if (error === undefined) {
      deps.log.info(at, 'a recording is written again')
      if (mustKeep && !isEnded) start.tell('this session goes on')
      return
    }
    const what = mustKeep ? 'its session waits' : 'what finds no room is missing in it'
    deps.log.error({ ...at, err: error }, `a recording cannot be written: ${what}`)
    if (mustKeep && !isEnded) start.tell('this session must be recorded, and cannot be just now: it waits')
  }

  /** Writes soon, or at once where there is much. */
  function wake(): void {
    if (working || life.signal.aborted) return
    if (queue.bytes >= BATCH_BYTES) work()
    else timer ??= setTimeout(workCalmly, GATHER_MS).unref()
  }

  /** Less than a batch has come in all that time. */
  function workCalmly(): void {
    isHurried = false
    work()
  }

  function work(): void {
    clearTimeout(timer)
    timer = undefined
    working = writeAll()
      .catch(give)
      .finally(() => {
        working = undefined
        if (!isEnded && (encoder.isHolding || !queue.isEmpty)) wake()
      })
  }

  async function writeAll(): Promise<void> {
    do {
      const batch = queue.take(isHurried ? HURRIED_BATCH_BYTES : BATCH_BYTES)
      let text = ''
      for (const item of batch.items)
        text +=
          'chunk' in item ? encoder.bytes(item.at, item.code, item.chunk) : encoder.line(item.at, item.code, item.data)
      text += encoder.rest(now(), now() - GATHER_MS)
      isHurried ||= queue.bytes > HURRY_BYTES
      if (text !== '') await cast.append(text, isHurried, life.signal)
      if (batch.events !== '') await events.append(batch.events, false, life.signal)
      queue.written(batch.bytes)
      if (queue.hasRoom() || queue.isEmpty) drained()
    } while (queue.bytes >= BATCH_BYTES || (isEnded && !queue.isEmpty))
  }

  function give(error: unknown): void {
    if (!life.signal.aborted) {
      deps.log.error({ record: id, err: error }, 'a recording was given up')
      life.abort(error)
    }
    queue.drop()
  }

  async function seal(end: SessionSnapshot): Promise<Sealed> {
    await working
    const at = now()
    if (hasOutput) queue.line(at, 'x', String(exitCode(end.end)))
    await writeAll()
    const rest = encoder.rest(at)
    if (rest !== '') await cast.append(rest, false, life.signal)
    const streams = [await cast.close(), await events.close()].filter((stream) => stream !== undefined)
    const manifest: Manifest = {
      ...facts,
      state: queue.gaps.count > 0 ? 'gap' : 'complete',
      endedAt: new Date(startedAt + at).toISOString(),
      ...(end.end && { outcome: outcomeOf(end.end) }),
      gaps: { ...queue.gaps },
      streams,
    }
    const bytes = await untilWritten(() => writeManifest(folder, manifest, deps.key), patience, life.signal)
    await rm(join(folder, STARTED), { force: true })
    return { manifest, bytes }
  }

  const isOver = () => isEnded || life.signal.aborted

  return {
    id,
    sealed: sealed.promise,
    get waitingBytes() {
      return queue.bytes
    },
    output(fd, chunk) {
      if (isOver()) return isEnded || !mustKeep
      if (hasOutput) {
        queue.add(now(), fd === 1 ? 'o' : 'e', chunk)
        wake()
      }
      return queue.hasRoom() || !mustKeep
    },
    input(chunk) {
      if (isOver() || !hasInput) return true
      queue.add(now(), 'i', chunk)
      wake()
      return queue.hasRoom() || !mustKeep
    },
    resize({ cols, rows }) {
      if (isOver() || !hasOutput) return
      queue.line(now(), 'r', `${cols}x${rows}`)
      wake()
    },
    event(line) {
      if (isOver()) return
      queue.event(`${JSON.stringify(line)}\n`)
      wake()
    },
    onDrain(callback) {
      drained = callback
    },
    end(end) {
      if (isEnded) return
      isEnded = true
      clearTimeout(timer)
      seal(end).then(sealed.resolve, (error: unknown) => {
        give(error)
        void Promise.allSettled([cast.close(), events.close()])
        sealed.resolve(undefined)
      })
    },
    abandon: (why) => give(why),
  }
}

/** @throws errno */
async function makeFolder(directory: string, id: string): Promise<{ id: string; folder: string }> {
  for (let number = 1; ; number++) {
    const name = number === 1 ? id : `${id}-${number}`
    const folder = join(directory, name)
    try {
      await mkdir(folder, { mode: 0o700 })
      return { id: name, folder }
    } catch (error) {
      if (!isErrno(error, 'EEXIST') || number === MAX_NAMESAKES) throw error
    }
  }
}
