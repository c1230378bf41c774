/** Is a record what the gateway wrote? Its manifest is signed, and says the SHA-256 of each stream. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '../../base/errors.ts'
import { fingerprint } from '../../ssh/public-key.ts'
import { sshSigner } from '../sshsig.ts'
import { HOLD, MANIFEST, RECORDING_NAMESPACE, readManifest, readSignature, SIGNATURE, STARTED } from './manifest.ts'
import { recordLines } from './read-stream.ts'

export interface RecordVerification {
  readonly id: string
  readonly state: string
  readonly problems: readonly string[]
  readonly notes: readonly string[]
}

const OWN: readonly string[] = [MANIFEST, SIGNATURE, HOLD]

/** @param signers fingerprints of keys that may sign */
export async function verifyRecord(
  directory: string,
  id: string,
  signers: ReadonlySet<string>,
): Promise<RecordVerification> {
  const folder = join(directory, id)
  const problems: string[] = []
  const notes: string[] = []
  const found = await readManifest(folder).catch((error: unknown) => {
    problems.push(`${MANIFEST}: ${messageOf(error)}`)
  })
  if (!found) {
    if (problems.length === 0) notes.push('is not sealed: its session lives, or its gateway was killed')
    return { id, state: problems.length === 0 ? 'live' : 'broken', problems, notes }
  }
  const { manifest, bytes } = found
  const signer = sshSigner(bytes, RECORDING_NAMESPACE, await readSignature(folder))
  if (!signer) problems.push(`${MANIFEST} was changed: ${SIGNATURE} does not sign it`)
  else if (!signers.has(fingerprint(signer)))
    problems.push(`${MANIFEST} is signed by another key, ${fingerprint(signer)}`)
  if (manifest.id !== id) problems.push(`is the record ${manifest.id}, under another name`)
  for (const { name, bytes, sha256 } of manifest.streams) {
    const there = await digest(join(folder, name)).catch((error: unknown) => {
      problems.push(`${name} cannot be read: ${messageOf(error)}`)
    })
    if (!there) continue
    if (there.bytes !== bytes) problems.push(`${name} has ${there.bytes} bytes, and had ${bytes}`)
    else if (there.sha256 !== sha256) problems.push(`${name} was changed: its SHA-256 is another`)
    else if (manifest.state !== 'incomplete') problems.push(...(await unreadable(folder, name)))
  }
  const known = [...OWN, ...manifest.streams.map(({ name }): string => name)]
  // Left where its gateway was killed right behind the manifest.
  const others = (await readdir(folder)).filter((name) => !known.includes(name) && name !== STARTED)
  for (const name of others) problems.push(`${name} is not of the record`)
  if (manifest.state === 'gap') notes.push(`${manifest.gaps.bytes} bytes in ${manifest.gaps.count} gaps are missing`)
  if (manifest.state === 'incomplete') notes.push('is incomplete: its gateway was killed, or could not write its end')
  return { id, state: manifest.state, problems, notes }
}

export async function digest(path: string): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const piece of createReadStream(path)) {
    hash.update(piece as Buffer)
    bytes += (piece as Buffer).length
  }
  return { bytes, sha256: hash.digest('hex') }
}

async function unreadable(folder: string, name: string): Promise<string[]> {
  try {
    for await (const line of recordLines(join(folder, name))) void line
    return []
  } catch (error) {
    return [`${name} is as it was written, and damaged: ${messageOf(error)}`]
  }
}
