/**
 * Writes a trail: in order, in batches, beside the data path, with a bound on what may wait. A full disk or a broken file
 * is tried again until it takes the very bytes that it has not; meanwhile `failing` says why, and what finds no room is
 * counted, and recorded as a number later.
 */

import { randomBytes } from 'node:crypto'
import { fdatasync, write } from 'node:fs'
import { open, rename, stat, truncate } from 'node:fs/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Logger } from 'pino'
import { HatchwayError, isErrno, messageOf } from '../../base/errors.ts'
import { replaceFile } from '../../base/whole-file.ts'
import { deadline } from '../../lifetime/deadline.ts'
import { deferred } from '../../lifetime/deferred.ts'
import { every } from '../../lifetime/every.ts'
import { onAbort } from '../../lifetime/on-abort.ts'
import { CHAIN_START, type ChainEnd, type Head, link, signHead } from './chain.ts'
import { headName, MAX_TRAILS, rotatedFiles, rotatedName, signatureName, trailName } from './files.ts'
import type { RecordFields } from './formats/fields.ts'
import { FORMATS } from './formats/format.ts'
import { readLatestHead } from './latest-head.ts'
import { allowedSigner, type SigningKey } from './signing-key.ts'
import { type TornRecord, trailEnd } from './trail-end.ts'
import { type TrailWatchLimits, watchTrail } from './trail-health.ts'
import { lockTrail } from './trail-lock.ts'
import { createTrailQueue, type TrailQueueLimits } from './trail-queue.ts'

const MAX_QUEUE_BYTES = 16 * 1024 * 1024
const RESERVE_BYTES = 1024 * 1024
/** What comes within it leaves in one write. */
const GATHER_MS = 100
const RETRY_MS = 1_000
const STALL_MS = 10_000
const WATCH_MS = 1_000
const CLOSE_MS = 4_000

export interface TrailSettings {
  readonly file: string
  /** Absent: hatchway. */
  readonly format?: keyof typeof FORMATS
  /** Bytes; 0: any number. */
  readonly rotateSize: number
  /** Milliseconds; 0: never for its age. */
  readonly rotateEvery: number
  /** Milliseconds between signed heads, while there is something to sign. */
  readonly headEvery: number
  /** When the disk is waited for. */
  readonly fsync: 'batch' | 'head' | 'never'
}

export interface TrailDependencies {
  readonly key: SigningKey
  /** Takes each signed head. At once: it must not wait. */
  readonly anchor: (head: Head) => void
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  /** Called when records can be written no more, and when they can be again. */
  readonly changed?: (failing: string | undefined) => void
  readonly calls?: TrailCalls
  readonly limits?: TrailLimits
}

/** The calls that a broken disk fails. */
export interface TrailCalls {
  readonly write: (fd: number, bytes: Buffer) => Promise<number>
  readonly sync: (fd: number) => Promise<void>
}

export interface TrailLimits extends TrailWatchLimits, TrailQueueLimits {
  readonly retryMs: number
  readonly closeMs: number
}

const LIMITS: TrailLimits = {
  queueBytes: MAX_QUEUE_BYTES,
  reserveBytes: RESERVE_BYTES,
  retryMs: RETRY_MS,
  closeMs: CLOSE_MS,
  stallMs: STALL_MS,
  watchMs: WATCH_MS,
}

const syncData = promisify(fdatasync)
const CALLS: TrailCalls = {
  write: (fd, bytes) =>
    new Promise((resolve, reject) => write(fd, bytes, (error, written) => (error ? reject(error) : resolve(written)))),
  sync: (fd) => syncData(fd),
}

/** What keeps a trail from being opened that no time changes: somebody must change the configuration or the folder. */
const MISTAKES = ['ENOENT', 'ENOTDIR', 'EISDIR', 'EACCES', 'EPERM', 'ELOOP', 'ENAMETOOLONG', 'ENXIO']

export interface Trail {
  /** Its own, where another gateway writes the one that is configured. */
  readonly file: string
  /** Never throws and never waits. `mustKeep`: it may use the reserve. */
  add(record: RecordFields, mustKeep?: boolean): void
  /** Why nothing can be written now. */
  readonly failing: string | undefined
  /** Bytes that wait to be written. */
  readonly waitingBytes: number
  /** Records that were not taken, since more came than could be written. */
  readonly lostRecords: number
  /** Resolves when all that was added is written, or cannot be. */
  settled(): Promise<void>
  /** Writes what is left and a last head, within a limit. Idempotent. */
  close(): Promise<void>
}

interface OpenFile {
  readonly fd: number
  readonly number: number
  readonly begunAt: number
  readonly ino: number
  size: number
  close(): Promise<void>
}

/** @throws HatchwayError CONFIG_INVALID: it cannot be written there */
export async function openTrail(settings: TrailSettings, deps: TrailDependencies): Promise<Trail> {
  let { file } = settings
  const { key, log, calls = CALLS, limits = LIMITS } = deps
  const format = FORMATS[settings.format ?? 'hatchway']
  let release: (() => Promise<void>) | undefined
  let current: OpenFile | undefined
  let trail = ''
  let number = 0
  let end: ChainEnd | undefined
  /** Of the end that the last head says. */
  let headAt = 0
  let headWanted = false
  let unsynced = false
  /** Chained already, and not yet in the file. */
  let unwritten: Buffer = Buffer.alloc(0)
  let working = false
  let gather: NodeJS.Timeout | undefined
  let idle = deferred<void>()
  idle.resolve()
  let wake = () => {}
  const queue = createTrailQueue(limits)
  const health = watchTrail({ log, file: () => file, isLosing: () => queue.lost > 0, changed: deps.changed, limits })

  /** Locks and reads where the trail goes on, or begins. */
  async function begin(): Promise<void> {
    release ??= await locked()
    if (end === undefined) await resume()
    else await openNext()
  }

  /** Of the first trail that nobody writes. */
  async function locked(): Promise<() => Promise<void>> {
    for (let place = 1; place <= MAX_TRAILS; place++) {
      const name = trailName(settings.file, place)
      const lock = await lockTrail(name)
      if (!lock) continue
      file = name
      if (place > 1) log.info({ file }, 'another gateway writes this audit trail: this one has a trail beside it')
      return lock
    }
    throw new HatchwayError('CONFIG_INVALID', `audit.file ${settings.file}: ${MAX_TRAILS} gateways write there already`)
  }

  async function resume(): Promise<void> {
    const found = (await trailEnd(file)) ?? (await startAnew())
    trail = found.trail
    number = found.number
    const { torn } = found
    // Not even the first record of the file is whole: it says nothing yet.
    const isBlank = torn !== undefined && found.begunAt === undefined
    if (isBlank) await truncate(file)
    const opened = await openFile(found.begunAt ?? Date.now())
    current = opened
    end = found.end
    headAt = 0
    if (opened.size === 0) unwritten = header(opened)
    else if (torn) unwritten = Buffer.concat([Buffer.from(torn.hasNewline ? '' : '\n'), sealed(torn)])
    const latest = await readLatestHead(file)
    if (latest && latest.trail === trail && latest.seq > found.end.seq) cut(latest.seq)
  }

  /** Nothing of it is overwritten: it is evidence of something. */
  async function startAnew() {
    const aside = `${file}.unreadable-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`
    log.error(
      { file, aside },
      'the audit trail does not end in a record of its own: it is kept aside, and a new one begins',
    )
    await rename(file, aside)
    const last = (await rotatedFiles(file)).at(-1)?.number ?? 0
    const trail = randomBytes(16).toString('hex')
    return { trail, number: last + 1, end: CHAIN_START, size: 0, begunAt: Date.now(), torn: undefined }
  }

  async function openNext(): Promise<void> {
    const next = number + 1
    current = await openFile(Date.now(), next)
    number = next
    unwritten = header(current)
  }

  async function openFile(begunAt: number, of = number): Promise<OpenFile> {
    const handle = await open(file, 'a', 0o600)
    const { size, ino } = await handle.stat()
    return { fd: handle.fd, number: of, begunAt, ino, size, close: () => handle.close() }
  }

  function header({ begunAt }: OpenFile): Buffer {
    const signer = allowedSigner(key.blob).trimEnd()
    return chained([format.text({ at: stamp(begunAt), action: 'trail', trail, file: number, format: 1, signer })])
  }

  function sealed({ bytes, sha256 }: TornRecord): Buffer {
    const torn = { bytes, sha256 }
    log.warn(
      { file, ...torn },
      'a writer of the audit trail was killed in the middle of a record: it is sealed as incomplete',
    )
    return chained([format.text({ at: stamp(), action: 'sealed', outcome: 'failed', torn })])
  }

  function cut(seq: number): void {
    log.error(
      { file, signed: seq, found: end?.seq },
      'the audit trail ends before its last signed head: records are gone',
    )
    const record = { at: stamp(), action: 'cut', outcome: 'failed', signed: seq, found: end?.seq }
    unwritten = Buffer.concat([unwritten, chained([format.text(record)])])
  }

  function chained(records: readonly string[]): Buffer {
    let text = ''
    let last = end ?? CHAIN_START
    for (const record of records) {
      const linked = link(record, last, format.opening)
      text += `${linked.line}\n`
      last = linked.end
    }
    end = last
    return Buffer.from(text)
  }

  async function flush(open: OpenFile): Promise<void> {
    while (unwritten.length > 0) {
      const written = await calls.write(open.fd, unwritten)
      open.size += written
      unwritten = unwritten.subarray(written)
    }
  }

  async function writeBatch(open: OpenFile): Promise<void> {
    const { records, lost } = queue.take()
    const gap = lost > 0 ? [format.text({ at: stamp(), action: 'records-lost', outcome: 'failed', count: lost })] : []
    unwritten = chained([...gap, ...records])
    await flush(open)
    unsynced = settings.fsync === 'batch'
    await sync(open)
  }

  /** Where it failed it is asked for again, before anything else. */
  async function sync(open: OpenFile): Promise<void> {
    if (unsynced) await calls.sync(open.fd)
    unsynced = false
  }

  /** In the trail itself, and beside it for whoever checks it by `ssh-keygen -Y verify`. */
  async function writeHead(open: OpenFile): Promise<void> {
    if (!end) return
    headWanted = false
    const facts = { trail, file: open.number, ...end, at: stamp() }
    const head = signHead(facts, key)
    unwritten = chained([format.text({ at: facts.at, action: 'head', ...head })])
    headAt = end.seq
    await flush(open)
    unsynced = settings.fsync !== 'never'
    await sync(open)
    // The trail is whole without these.
    await replaceFile(signatureName(file), head.signature, 0o644)
      .then(() => replaceFile(headName(file), head.head, 0o644))
      .catch((error: unknown) =>
        log.warn({ file, reason: messageOf(error) }, 'a head of the audit trail cannot be put beside it'),
      )
    deps.anchor(head)
    await look(open)
  }

  /** Somebody else has moved the file, cut it or written to it: what comes goes into a file of the trail again. */
  async function look(open: OpenFile): Promise<void> {
    const now = await stat(file).catch(() => undefined)
    if (now?.ino !== open.ino) {
      log.error({ file }, 'the audit trail was moved or removed by somebody else: it goes on in a new file')
      current = undefined
      await open.close().catch(() => {})
    } else if (now.size !== open.size) {
      log.error({ file, bytes: now.size, written: open.size }, 'the audit trail was changed by somebody else')
      add({ at: stamp(), action: 'disturbed', outcome: 'failed', bytes: now.size, written: open.size }, true)
      open.size = now.size
    }
  }

  async function rotate(open: OpenFile): Promise<void> {
    if (headAt !== end?.seq) await writeHead(open)
    const full = rotatedName(file, open.number)
    await rename(file, full)
    current = undefined
    await rename(headName(file), headName(full)).catch(() => {})
    await rename(signatureName(file), signatureName(full)).catch(() => {})
    await open.close().catch(() => {})
  }

  function isFull({ size, begunAt }: OpenFile): boolean {
    const { rotateSize, rotateEvery } = settings
    return (rotateSize > 0 && size >= rotateSize) || (rotateEvery > 0 && Date.now() - begunAt >= rotateEvery)
  }

  /** One step of the work; false: nothing is left to do. */
  async function step(): Promise<boolean> {
    if (!current) {
      await begin()
      return true
    }
    const open = current
    await flush(open)
    await sync(open)
    const isWaiting = !queue.isEmpty
    if (!isWaiting && !headWanted) return false
    if (isFull(open) && (isWaiting || headAt !== end?.seq)) await rotate(open)
    else if (isWaiting) await writeBatch(open)
    else if (headAt !== end?.seq) await writeHead(open)
    else headWanted = false
    return true
  }

  async function work(): Promise<void> {
    while (!isGivenUp()) {
      try {
        const isMore = await health.step(step)
        // Something may have been added in the turn that this took.
        if (!isMore && queue.isEmpty && !headWanted) break
        await nextTurn()
      } catch {
        await pause()
      }
    }
    working = false
    idle.resolve()
  }

  const givenUp = new AbortController()
  const isGivenUp = () => givenUp.signal.aborted

  function pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, limits.retryMs).unref()
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  function start(): void {
    if (working || isGivenUp()) return
    clearTimeout(gather)
    gather = undefined
    working = true
    idle = deferred<void>()
    void work()
  }

  function add(record: RecordFields, mustKeep = false): void {
    const wasLosing = queue.lost > 0
    const isTaken = queue.add(format.text(record), mustKeep)
    if (!isTaken && !wasLosing)
      log.error({ file }, 'records of the audit trail are lost: more come than can be written')
    if (!isTaken) return
    if (!working) gather ??= setTimeout(start, GATHER_MS).unref()
  }

  try {
    await step()
  } catch (error) {
    if (error instanceof HatchwayError || isErrno(error, ...MISTAKES)) {
      await health.close()
      await release?.()
      if (error instanceof HatchwayError) throw error
      throw new HatchwayError('CONFIG_INVALID', `audit.file ${file} cannot be written: ${messageOf(error)}`, {
        cause: error,
      })
    }
    health.failed(error)
  }
  start()
  const heads = every(
    settings.headEvery,
    () => {
      headWanted = true
      start()
    },
    (error) => log.error({ err: error }, 'no head of the audit trail'),
  )

  let closed: Promise<void> | undefined
  async function close(): Promise<void> {
    await heads.stop()
    clearTimeout(gather)
    headWanted = true
    wake()
    start()
    await untilIdle()
    if (unwritten.length > 0 || queue.records > 0)
      log.error(
        { file, records: queue.records, lost: queue.lost },
        'the audit trail is not complete: its end could not be written',
      )
    givenUp.abort()
    queue.close()
    await health.close()
    wake()
    await current?.close().catch(() => {})
    await release?.().catch(() => {})
  }

  async function untilIdle(): Promise<void> {
    const limit = deadline(limits.closeMs)
    await Promise.race([idle.promise, new Promise((resolve) => onAbort(limit, resolve))])
  }

  return {
    add,
    get file() {
      return file
    },
    get failing() {
      return health.failing
    },
    get waitingBytes() {
      return queue.bytes + unwritten.length
    },
    get lostRecords() {
      return queue.lostEver
    },
    settled() {
      start()
      return idle.promise
    },
    close() {
      closed ??= close()
      return closed
    },
  }
}

function stamp(at = Date.now()): string {
  return new Date(at).toISOString()
}
