/**
 * Finds records in a trail and its rotated files, piece by piece: memory holds a piece of a file, whatever its size. Where
 * an exact text is asked for, only lines that contain it are parsed.
 */
import { stat } from 'node:fs/promises'
import { globMatches } from '../../base/glob.ts'
import { recordText } from './chain.ts'
import { rotatedFiles, trailNames } from './files.ts'
import { readPieces } from './pieces.ts'

export interface AuditQuery {
  readonly file: string
  /** An identity or a fingerprint; "*" and "?" as in rules. */
  readonly who?: string
  /** The name of a container or the beginning of its id. */
  readonly container?: string
  /** Milliseconds since the epoch. */
  readonly since?: number
  readonly until?: number
  /** "session-*"; absent: all but the trail's own, "head" and "trail". */
  readonly action?: string
  readonly outcome?: string
}

/** A record as it is read back; other programs may have written the file. */
export type FoundRecord = Readonly<Record<string, unknown>>

export interface Found {
  /** As it stands in the file. */
  readonly line: string
  readonly record: FoundRecord
}

/** Of a line: the link and the time behind it. */
const HEAD_BYTES = 175
const AT = /^\{(?:"(?:hatchway|unmapped)":\{)?"seq":\d+,"prev":"[0-9a-f]+","at":"([^"]+)"/
/** Too many lines have a shorter one. */
const MIN_NEEDLE_CHARACTERS = 2
/** An id that is shortened, as tables show it. */
const ID_PREFIX = /^[0-9a-f]{6,}$/

/** In the order of each trail. @throws errno */
export async function* searchTrails(query: AuditQuery): AsyncGenerator<Found> {
  const needle = needleOf(query)
  for (const trail of await trailNames(query.file)) {
    const rotated = await rotatedFiles(trail)
    for (const { path } of [...rotated, { path: trail }]) {
      if (query.since !== undefined && (await endedBefore(path, query.since))) continue
      yield* searchFile(path, needle, query, path === trail && rotated.length > 0)
    }
  }
}

async function* searchFile(
  path: string,
  needle: Buffer | undefined,
  query: AuditQuery,
  mayLack: boolean,
): AsyncGenerator<Found> {
  for await (const piece of readPieces(path, mayLack)) {
    for (let at = 0; at < piece.length; ) {
      const found = needle ? piece.indexOf(needle, at) : at
      if (found < 0) break
      const start = needle ? piece.lastIndexOf(10, found) + 1 : at
      const lineEnd = piece.indexOf(10, found)
      const end = lineEnd < 0 ? piece.length : lineEnd
      at = end + 1
      if (query.since !== undefined && isBefore(piece, start, end, query.since)) continue
      const line = piece.toString('utf8', start, end)
      const record = parsedRecord(line)
      if (record && matches(record, query)) yield { line, record }
    }
  }
}

/** Without parsing it: its time stands near its beginning. False also where that is not sure. */
function isBefore(piece: Buffer, start: number, end: number, since: number): boolean {
  const head = piece.toString('latin1', start, Math.min(end, start + HEAD_BYTES))
  const time = AT.exec(head)?.[1]
  return time !== undefined && Date.parse(time) < since
}

function parsedRecord(line: string): FoundRecord | undefined {
  try {
    // biome-ignore lint/suspicious/noExplicitAny: as JSON.parse has it; each field is looked at before it is used
    const value: any = JSON.parse(line)
    const record = value?.hatchway ?? value?.unmapped ?? value
    return typeof record === 'object' && record !== null ? record : undefined
  } catch {
    // Half a record, of a writer that was killed.
    return undefined
  }
}

function matches(record: FoundRecord, { who, container, since, until, action, outcome }: AuditQuery): boolean {
  if (who !== undefined && !isLike(who, record.identity) && !isLike(who, record.fingerprint)) return false
  if (action === undefined ? isOwn(record.action) : !isLike(action, record.action)) return false
  if (outcome !== undefined && record.outcome !== outcome) return false
  if (container !== undefined && !isContainer(container, record)) return false
  if (since === undefined && until === undefined) return true
  const at = typeof record.at === 'string' ? Date.parse(record.at) : Number.NaN
  return !(at < (since ?? -Infinity)) && !(at > (until ?? Infinity)) && !Number.isNaN(at)
}

/** Of the trail itself: nobody did anything. */
function isOwn(action: unknown): boolean {
  return action === 'head' || action === 'trail'
}

function isLike(pattern: string, value: unknown): boolean {
  return typeof value === 'string' && globMatches(pattern, value)
}

function isContainer(wanted: string, { container, leadsTo }: FoundRecord): boolean {
  if (isLike(wanted, leadsTo)) return true
  if (typeof container !== 'object' || container === null) return false
  const { name, id } = container as { name?: unknown; id?: unknown }
  return isLike(wanted, name) || (ID_PREFIX.test(wanted) && typeof id === 'string' && id.startsWith(wanted))
}

/** Text that every line which matches has, the longest that is known; undefined: none is. */
function needleOf({ who, container, action, outcome }: AuditQuery): Buffer | undefined {
  const exact = outcome === undefined ? [] : [`"outcome":${recordText([outcome]).slice(1, -1)}`]
  const parts = [who, container, action].flatMap((text) => (text === undefined ? [] : text.split(/[*?]+/)))
  // As the record has it, with its escapes.
  const needles = [...parts.map((part) => recordText([part]).slice(2, -2)), ...exact]
  const longest = needles.reduce((best, text) => (text.length > best.length ? text : best), '')
  return longest.length < MIN_NEEDLE_CHARACTERS ? undefined : Buffer.from(longest)
}

/** Nothing was written to it since. */
async function endedBefore(path: string, since: number): Promise<boolean> {
  const found = await stat(path).catch(() => undefined)
  return found !== undefined && found.mtimeMs < since
}
