/** Checks a trail: that each record follows the one before, that each head is signed and true, and what heads elsewhere say. */
import { hash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fingerprint } from '../../ssh/public-key.ts'
import { headIn, linkOf, readHead, recordIn, sha256Of } from './chain.ts'
import { rotatedFiles, trailNames } from './files.ts'
import { readLatestHead } from './latest-head.ts'
import { readPieces } from './pieces.ts'
import { headerOf, type TornRecord } from './trail-end.ts'

export interface Verification {
  readonly file: string
  /** Its id; more than one where another begins in it. */
  readonly trails: readonly string[]
  /** What must not be; empty: the trail is whole. */
  readonly problems: readonly string[]
  /** What an auditor should know. */
  readonly notes: readonly string[]
  readonly files: number
  readonly records: number
  readonly heads: number
  readonly first: number
  readonly last: number
}

export interface VerifyOptions {
  readonly file: string
  /** Fingerprints of the keys that may sign. */
  readonly signers: ReadonlySet<string>
  /** Files of heads that an anchor took. */
  readonly anchors: readonly string[]
}

const SEALED = Buffer.from('"action":"sealed"')
const HEAD = Buffer.from('"action":"head"')
/** Of one kind: a file in which nothing fits would have a million. */
const MAX_PROBLEMS = 20

interface AnchoredHead {
  readonly sha256: string
  readonly from: string
}

/** Of every trail of that name, and that each trail of which an anchor has heads is there. @throws errno */
export async function verifyTrails(options: VerifyOptions): Promise<Verification[]> {
  const all: Verification[] = []
  for (const file of await trailNames(options.file)) all.push(await verifyTrail({ ...options, file }))
  const there = new Set(all.flatMap(({ trails }) => trails))
  const missing: string[] = []
  for (const path of options.anchors) {
    const heads = (await readFile(path, 'utf8')).split('\n').flatMap((line) => headIn(line) ?? [])
    const gone = new Set(heads.flatMap((head) => readHead(head)?.trail ?? []).filter((trail) => !there.has(trail)))
    for (const trail of gone) missing.push(`${path} has heads of trail ${trail}, which is not here`)
  }
  return all.map((one, at) => (at === 0 ? { ...one, problems: [...one.problems, ...missing] } : one))
}

/** @throws errno where a file cannot be read */
async function verifyTrail({ file, signers, anchors }: VerifyOptions): Promise<Verification> {
  const problems: string[] = []
  const notes: string[] = []
  let more = 0
  const problem = (text: string): void => {
    if (problems.length < MAX_PROBLEMS) problems.push(text)
    else more++
  }

  const rotated = await rotatedFiles(file)
  const files = [...rotated.map(({ path }) => path), file]
  const known = new Map<number, AnchoredHead[]>()
  let trail: string | undefined
  const trails = new Set<string>()
  let previous: { seq: number; sha256: string; path: string; at: number } | undefined
  let number: number | undefined
  let first = 0
  let records = 0
  let heads = 0
  let signedUpTo = 0
  let endsInHead = false
  let read = 0

  function expect(seq: number, sha256: string, from: string): void {
    known.set(seq, [...(known.get(seq) ?? []), { sha256, from }])
  }

  async function learn(): Promise<void> {
    for (const path of anchors) {
      for (const [index, line] of (await readFile(path, 'utf8')).split('\n').entries()) {
        if (line.trim() === '') continue
        const where = `${path}:${index + 1}`
        const found = headIn(line)
        const said = found && readHead(found)
        if (!said) problem(`${where}: is no head`)
        else if (!isTrusted(said.signer)) problem(`${where}: is not signed by a key that may sign`)
        else if (said.trail === trail) expect(said.seq, said.sha256, where)
      }
    }
    for (const path of files) {
      const said = await readLatestHead(path)
      if (!said) continue
      if (!isTrusted(said.signer)) problem(`${path}.head: is not signed by a key that may sign`)
      else if (said.trail === trail) expect(said.seq, said.sha256, `${path}.head`)
    }
  }

  const isTrusted = (signer: Buffer | undefined) => signer !== undefined && signers.has(fingerprint(signer))

  function header(line: string, where: string): void {
    const said = headerOf(line)
    if (!said) {
      problem(`${where}: does not begin as a file of a trail`)
      return
    }
    if (trail !== undefined && said.trail !== trail) problem(`${where}: begins another trail, ${said.trail}`)
    if (number !== undefined && said.number !== number + 1)
      problem(`${where}: is file ${said.number} of the trail, after file ${number}: what was between is gone`)
    trail = said.trail
    trails.add(said.trail)
    number = said.number
  }

  /** The record after a torn one says of it what it was. */
  function isSealed(torn: Buffer, line: string): boolean {
    const { action, torn: said } = recordIn(line) ?? {}
    if (action !== 'sealed' || typeof said !== 'object' || said === null) return false
    const { bytes, sha256 } = said as Partial<TornRecord>
    return bytes === torn.length && sha256 === hash('sha256', torn, 'hex')
  }

  function record(line: Buffer, path: string, at: number): void {
    const where = { toString: () => `${path}:${at}` }
    const linked = linkOf(line)
    if (!linked) {
      problem(`${where}: is no record, and nothing says why`)
      return
    }
    records++
    if (previous === undefined) {
      first = linked.seq
      if (linked.seq > 1) notes.push(`begins at record ${linked.seq}: what was before is not here`)
    } else if (linked.seq !== previous.seq + 1) {
      problem(`${where}: is record ${linked.seq}, after ${previous.seq}: records were removed, moved or added`)
    } else if (linked.prev !== previous.sha256) {
      // The link is in the second; which of the two is not the one that was written, it does not tell.
      const second = previous.path === path ? `:${at}` : where
      const either = `${previous.path}:${previous.at} or ${second}`
      problem(`${either} was changed: record ${linked.seq} does not follow record ${previous.seq}`)
    }
    const sha256 = sha256Of(line)
    for (const { sha256: anchored, from } of known.get(linked.seq) ?? [])
      if (anchored !== sha256) problem(`${where}: record ${linked.seq} is not what ${from} says it was`)
    known.delete(linked.seq)
    const isHead = line.includes(HEAD)
    if (isHead) head(line.toString(), `${where}`)
    endsInHead = isHead
    previous = { seq: linked.seq, sha256, path, at }
  }

  function head(text: string, where: string): void {
    if (recordIn(text)?.action !== 'head') return
    heads++
    const found = headIn(text)
    const said = found && readHead(found)
    if (!said) {
      problem(`${where}: is no head`)
      return
    }
    if (!said.signer) {
      problem(`${where}: its signature is wrong`)
      return
    }
    if (!isTrusted(said.signer)) {
      problem(`${where}: is signed by ${fingerprint(said.signer)}, which is not a key that may sign`)
      return
    }
    if (said.trail !== trail) problem(`${where}: is a head of another trail`)
    if (previous && (said.seq !== previous.seq || said.sha256 !== previous.sha256))
      problem(`${where}: the head says that another record was before it`)
    signedUpTo = said.seq
  }

  for (const path of files) {
    let at = 0
    /** Looked at once the next one is known, which may say that it is half a record. */
    let pending: Buffer | undefined
    const lookAtPending = () => {
      if (pending) record(pending, path, at)
      pending = undefined
    }
    for await (const piece of readPieces(path, path === file && rotated.length > 0)) {
      for (let start = 0; start < piece.length; ) {
        const lineEnd = piece.indexOf(10, start)
        const line = piece.subarray(start, lineEnd < 0 ? piece.length : lineEnd)
        start += line.length + 1
        if (at === 0) {
          header(line.toString(), `${path}:1`)
          if (read++ === 0) await learn()
        }
        if (pending && line.includes(SEALED) && isSealed(pending, line.toString())) pending = undefined
        lookAtPending()
        at++
        if (lineEnd >= 0) pending = line
        else notes.push(`${path}:${at}: half a record: its writer was killed, or writes it just now`)
      }
      // The piece is read into again.
      if (pending) pending = Buffer.from(pending)
    }
    lookAtPending()
  }
  const last = previous?.seq ?? 0
  if (read === 0) problem(`${file}: there is no trail`)
  for (const [seq, anchored] of known) {
    const [{ from } = { from: '' }] = anchored
    if (seq > last) problem(`${from} has a head of record ${seq}, and the trail ends at ${last}: its end was cut off`)
    else if (seq < first) notes.push(`${from} has a head of record ${seq}, which is not here any more`)
    else problem(`${from} has a head of record ${seq}, which is missing`)
  }
  if (records > 0 && heads === 0)
    notes.push('no head is signed yet: only that its records follow each other was checked')
  else if (last > signedUpTo + 1)
    notes.push(`the last ${last - signedUpTo - 1} records are behind the last signed head`)
  if (records > 0 && !endsInHead) notes.push('it does not end in a head: its gateway runs, or was killed')
  if (more > 0) problems.push(`and ${more} more`)
  return { file, trails: [...trails], problems, notes, files: read, records, heads, first, last }
}
