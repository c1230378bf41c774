/** Where a trail goes on: its last record, in the file that is written or, right after a rotation, in the one before. */
import { randomBytes } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { isErrno } from '../../base/errors.ts'
import { CHAIN_START, type ChainEnd, linkOf, parsedObject, recordIn, sha256Of } from './chain.ts'
import { rotatedFiles } from './files.ts'

const BLOCK_BYTES = 64 * 1024
/** Of the last line: none of ours is longer. */
const MAX_TAIL_BYTES = 4 * 1024 * 1024

/** Half a record, which a writer that was killed left behind the last whole one. */
export interface TornRecord {
  readonly bytes: number
  readonly sha256: string
  /** Whoever was about to seal it was killed, too, behind the newline. */
  readonly hasNewline?: true
}

export interface TrailEnd {
  readonly trail: string
  /** Of the file that is written next. */
  readonly number: number
  readonly end: ChainEnd
  /** Of that file as it is; 0: it is empty, or not there. */
  readonly size: number
  /** When it was begun; milliseconds since the epoch. */
  readonly begunAt?: number
  readonly torn?: TornRecord
}

/** Resolves with undefined for a file whose last whole line is no record: somebody else wrote it, or changed it. @throws errno */
export async function trailEnd(file: string): Promise<TrailEnd | undefined> {
  const earlier = (await rotatedFiles(file)).at(-1)
  const before = earlier && (await endOf(earlier.path))
  const current = await endOf(file)
  if (current === 'strange' || before === 'strange') return undefined
  const next = (before?.header?.number ?? 0) + 1
  const fresh = { trail: before?.header?.trail ?? randomBytes(16).toString('hex'), number: next }
  const follows = before?.last ?? CHAIN_START
  if (!current || current.size === 0) return { ...fresh, end: follows, size: 0 }
  const { header, last, size, torn } = current
  const begunAt = header && { begunAt: header.begunAt }
  const trail = header ? { trail: header.trail, number: header.number } : fresh
  return { ...trail, end: last ?? follows, size, ...begunAt, ...(torn && { torn }) }
}

interface FileEnd {
  readonly size: number
  /** Absent where not even its first record is whole. */
  readonly header?: { readonly trail: string; readonly number: number; readonly begunAt: number }
  readonly last?: ChainEnd
  readonly torn?: TornRecord
}

async function endOf(file: string): Promise<FileEnd | undefined | 'strange'> {
  let handle: FileHandle
  try {
    handle = await open(file, 'r')
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  }
  try {
    const { size } = await handle.stat()
    if (size === 0) return { size }
    const tail = await tailOf(handle, size)
    if (!tail) return 'strange'
    const { rest, lines } = tail
    const [newest, older] = lines
    const isHalf = rest.length === 0 && newest !== undefined && !isWhole(newest)
    const line = isHalf ? older : newest
    const half = isHalf ? newest : rest
    const sealed = isHalf && { hasNewline: true as const }
    const torn = half.length > 0 && { torn: { bytes: half.length, sha256: sha256Of(half), ...sealed } }
    if (line === undefined) return { size, ...torn }
    const linked = isWhole(line) && linkOf(line)
    const header = headerOf(await firstLine(handle))
    if (!linked || !header) return 'strange'
    return { size, header, last: { seq: linked.seq, sha256: sha256Of(line) }, ...torn }
  } finally {
    await handle.close()
  }
}

function isWhole(line: Buffer): boolean {
  return parsedObject(line.toString()) !== undefined
}

/** The last two lines, the newest first, and what stands behind the last newline. */
async function tailOf(
  handle: FileHandle,
  size: number,
): Promise<{ readonly lines: readonly Buffer[]; readonly rest: Buffer } | undefined> {
  for (let length = BLOCK_BYTES; length <= MAX_TAIL_BYTES; length *= 2) {
    const start = Math.max(0, size - length)
    const bytes = await readAt(handle, start, size - start)
    const ends = newlinesFromEnd(bytes, 3)
    if (ends.length < 3 && start > 0) continue
    const lines = ends.slice(0, 2).map((end, at) => bytes.subarray((ends[at + 1] ?? -1) + 1, end))
    return { lines, rest: bytes.subarray((ends[0] ?? -1) + 1) }
  }
  return undefined
}

function newlinesFromEnd(bytes: Buffer, count: number): number[] {
  const found: number[] = []
  for (let from = bytes.length - 1; found.length < count && from >= 0; ) {
    const at = bytes.lastIndexOf(10, from)
    if (at < 0) break
    found.push(at)
    from = at - 1
  }
  return found
}

async function firstLine(handle: FileHandle): Promise<string> {
  const bytes = await readAt(handle, 0, BLOCK_BYTES)
  const lineEnd = bytes.indexOf(10)
  return bytes.toString('utf8', 0, lineEnd < 0 ? bytes.length : lineEnd)
}

async function readAt(handle: FileHandle, start: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length)
  let filled = 0
  while (filled < length) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, start + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return bytes.subarray(0, filled)
}

/** Each file of a trail begins with a record that says which file of which trail it is. */
export function headerOf(
  line: string,
): { readonly trail: string; readonly number: number; readonly begunAt: number } | undefined {
  const { action, trail, file, at } = recordIn(line) ?? {}
  if (action !== 'trail' || typeof trail !== 'string' || typeof file !== 'number' || typeof at !== 'string')
    return undefined
  return { trail, number: file, begunAt: Date.parse(at) }
}
