/**
 * The chain: each record is one line of JSON with its number and the SHA-256 of the line before, so that one that is
 * changed, removed or moved does not fit what follows. A signed head says of all before it that they were so.
 */
import { hash } from 'node:crypto'
import { printableJson } from '../../base/printable.ts'
import { sshSign, sshSigner } from '../sshsig.ts'
import { AUDIT_NAMESPACE, type SigningKey } from './signing-key.ts'

/** Before the first record. */
export const NO_RECORD = '0'.repeat(64)
const FORMAT = 'hatchway-audit-head-1'
/** In each format: formats/format.ts. */
const LINK = /^\{(?:"(?:hatchway|unmapped)":\{)?"seq":(\d{1,15}),"prev":"([0-9a-f]{64})",/
/** Of a line. */
const LINK_BYTES = 125

/** What was written last. */
export interface ChainEnd {
  readonly seq: number
  /** SHA-256 of its line, without the newline. */
  readonly sha256: string
}

export interface ChainLink {
  readonly seq: number
  readonly prev: string
}

export const CHAIN_START: ChainEnd = { seq: 0, sha256: NO_RECORD }

export interface Linked {
  /** Without the newline. */
  readonly line: string
  readonly end: ChainEnd
}

/** @param text a record as JSON text that begins with `opening`, behind which the link goes */
export function link(text: string, { seq, sha256: prev }: ChainEnd, opening = '{'): Linked {
  const line = `${opening}"seq":${seq + 1},"prev":"${prev}",${text.slice(opening.length)}`
  return { line, end: { seq: seq + 1, sha256: sha256Of(line) } }
}

/** A record as JSON text that is safe on a terminal, too. */
export function recordText(fields: object): string {
  return printableJson(JSON.stringify(fields))
}

export function sha256Of(line: string | Buffer): string {
  return hash('sha256', line, 'hex')
}

/** Returns undefined for a line that is no record. */
export function linkOf(line: Buffer): ChainLink | undefined {
  const [, seq, prev] = LINK.exec(line.toString('latin1', 0, LINK_BYTES)) ?? []
  return seq === undefined || prev === undefined ? undefined : { seq: Number(seq), prev }
}

/** What a head says; the text that is signed has exactly these, as one line of JSON. */
export interface HeadFacts extends ChainEnd {
  readonly trail: string
  readonly file: number
  /** As toISOString() has it. */
  readonly at: string
}

export interface Head {
  /** The text that is signed, with its newline. */
  readonly head: string
  /** "-----BEGIN SSH SIGNATURE-----" */
  readonly signature: string
}

export function signHead({ trail, file, seq, sha256, at }: HeadFacts, { key, blob }: SigningKey): Head {
  const head = `${JSON.stringify({ format: FORMAT, trail, file, seq, sha256, at })}\n`
  return { head, signature: sshSign(Buffer.from(head), AUDIT_NAMESPACE, key, blob) }
}

/** Returns what the head says, and who signed it: undefined where nobody did, or it is none. */
export function readHead({ head, signature }: Head): (HeadFacts & { readonly signer: Buffer | undefined }) | undefined {
  const said = parsedObject(head)
  const { format, trail, file, seq, sha256, at } = said ?? {}
  if (format !== FORMAT || typeof trail !== 'string' || typeof file !== 'number' || typeof seq !== 'number')
    return undefined
  if (typeof sha256 !== 'string' || typeof at !== 'string') return undefined
  const signer = sshSigner(Buffer.from(head), AUDIT_NAMESPACE, signature)
  return { trail, file, seq, sha256, at, signer }
}

/** The head that a line of JSON has: a record of the trail, or what an anchor was given. */
export function headIn(line: string): Head | undefined {
  const { head, signature } = recordIn(line) ?? {}
  return typeof head === 'string' && typeof signature === 'string' ? { head, signature } : undefined
}

/** The record of a line, in whichever format it stands there. */
export function recordIn(line: string): Readonly<Record<string, unknown>> | undefined {
  const whole = parsedObject(line)
  const inner = whole?.hatchway ?? whole?.unmapped
  return typeof inner === 'object' && inner !== null ? Object.fromEntries(Object.entries(inner)) : whole
}

export function parsedObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : undefined
  } catch {
    return undefined
  }
}
