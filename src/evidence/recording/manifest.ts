/** What a record says of itself: at its beginning, and at its end with what proves it (docs/recording.md). */

import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { typeOf } from '../../auth/openssh-key.ts'
import { isErrno } from '../../base/errors.ts'
import { replaceFile } from '../../base/whole-file.ts'
import type { SigningKey } from '../audit/signing-key.ts'
import { sshSign } from '../sshsig.ts'

/** Of its signatures, and whom an allowed_signers file names. */
export const RECORDING_NAMESPACE = 'hatchway-recording'

export const STARTED = 'started.json'
export const MANIFEST = 'manifest.json'
export const SIGNATURE = 'manifest.json.sig'
export const CAST = 'session.cast.gz'
export const EVENTS = 'events.jsonl.gz'
export const HOLD = 'hold'
export const STREAMS: readonly string[] = [CAST, EVENTS]

const ID = /^\d{8}T\d{6}Z-[0-9a-f]{8}(-\d{1,3})?$/
/** A command may have 256 KB, and becomes six times as much. */
const MAX_BYTES = 4 * 1024 * 1024

export function isRecordId(text: string): boolean {
  return ID.test(text)
}

export function recordId(startedAt: number, session: string): string {
  return `${new Date(startedAt).toISOString().replaceAll(/[-:]|\.\d+/g, '')}-${session}`
}

/** The session of a record, by the record's id. */
export function sessionOf(id: string): string {
  return id.split('-')[1] ?? ''
}

const text = z.string()
const count = z.int().min(0)
const outcome = z.union([
  z.object({ code: z.int() }),
  z.object({ signal: text }),
  z.object({ failure: text, message: text }),
])
const started = z.object({
  format: z.literal(1),
  id: text,
  session: text,
  connection: text,
  gateway: z.object({ id: text, process: text, host: text }),
  identity: z.object({
    name: text,
    fingerprint: text,
    method: text.optional(),
    source: text.optional(),
    certificate: z.object({ serial: text, keyId: text, authority: text }).optional(),
  }),
  remote: z.object({ address: text, port: count }),
  login: text,
  host: text.optional(),
  container: z.object({ id: text, name: text, image: text.optional(), engine: text.optional() }),
  user: text,
  start: z.enum(['shell', 'exec', 'subsystem']),
  command: text.optional(),
  tty: z.boolean(),
  mode: z.enum(['best-effort', 'required']),
  of: z.array(text),
  startedAt: z.iso.datetime(),
})
const manifest = started.extend({
  state: z.enum(['complete', 'gap', 'incomplete']),
  endedAt: z.iso.datetime(),
  outcome: outcome.optional(),
  gaps: z.object({ count, bytes: count }),
  streams: z.array(
    z.object({ name: z.enum([CAST, EVENTS]), bytes: count, sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
  ),
})

export type Started = z.infer<typeof started>
export type Manifest = z.infer<typeof manifest>
export type RecordStream = Manifest['streams'][number]

/** Undefined: there is none. @throws Error: it is none of ours */
export async function readStarted(folder: string): Promise<Started | undefined> {
  const content = await readBounded(join(folder, STARTED))
  return content && started.parse(JSON.parse(content.toString()))
}

/** With its very bytes, which are what is signed. The same as for `readStarted`. */
export async function readManifest(folder: string): Promise<{ manifest: Manifest; bytes: Buffer } | undefined> {
  const bytes = await readBounded(join(folder, MANIFEST))
  return bytes && { manifest: manifest.parse(JSON.parse(bytes.toString())), bytes }
}

async function readBounded(path: string): Promise<Buffer | undefined> {
  const handle = await open(path, 'r').catch((error: unknown) => {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  })
  if (!handle) return undefined
  try {
    const { size } = await handle.stat()
    if (size > MAX_BYTES) throw new Error(`${path} is larger than ${MAX_BYTES} bytes`)
    return await handle.readFile()
  } finally {
    await handle.close()
  }
}

export function factsText(facts: Started | Manifest): string {
  return `${JSON.stringify(facts, null, 2)}\n`
}

/** The signature first: a manifest that is there is signed. */
export async function writeManifest(folder: string, facts: Manifest, key: SigningKey): Promise<Buffer> {
  const bytes = Buffer.from(factsText(facts))
  await replaceFile(join(folder, SIGNATURE), sshSign(bytes, RECORDING_NAMESPACE, key.key, key.blob), 0o600)
  await replaceFile(join(folder, MANIFEST), bytes, 0o600)
  return bytes
}

export function readSignature(folder: string): Promise<string> {
  return readFile(join(folder, SIGNATURE), 'utf8').catch(() => '')
}

/** A line for `ssh-keygen -Y verify -f`. */
export function recordingSigner(blob: Buffer): string {
  return `${RECORDING_NAMESPACE} namespaces="${RECORDING_NAMESPACE}" ${typeOf(blob)} ${blob.toString('base64')}\n`
}
