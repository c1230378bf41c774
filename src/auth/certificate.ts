/** Parses OpenSSH certificates (PROTOCOL.certkeys). Nothing is verified here: see certificate-terms.ts. */
import { PacketReader } from '../ssh/packets.ts'
import { certifiedType, fingerprint } from '../ssh/public-key.ts'
import { typeOf } from './openssh-key.ts'
import { wireString } from './wire.ts'

export interface Certificate {
  /** The whole certificate. */
  readonly blob: Buffer
  /** The certified key as a plain key's blob: it signs the login; fingerprints and revocations are of this key. */
  readonly key: Buffer
  readonly fingerprint: string
  readonly serial: bigint
  /** 1 for a user, 2 for a host. */
  readonly kind: number
  readonly keyId: string
  readonly principals: readonly string[]
  /** Seconds since the epoch: valid from validAfter on, no longer at validBefore. */
  readonly validAfter: bigint
  readonly validBefore: bigint
  readonly critical: readonly CertificateOption[]
  readonly extensions: readonly CertificateOption[]
  /** The authority's public key. */
  readonly authority: Buffer
  /** The bytes that the authority signed. */
  readonly signed: Buffer
  readonly signature: Buffer
}

export interface CertificateOption {
  readonly name: string
  /** Empty, or one wire string. */
  readonly data: Buffer
}

/** How many strings make up the public key behind the nonce. */
const PARTS: Readonly<Record<string, number>> = {
  'ssh-ed25519': 1,
  'sk-ssh-ed25519@openssh.com': 2,
  'ecdsa-sha2-nistp256': 2,
  'ecdsa-sha2-nistp384': 2,
  'ecdsa-sha2-nistp521': 2,
  'sk-ecdsa-sha2-nistp256@openssh.com': 3,
  'ssh-rsa': 2,
}

/** SSHKEY_CERT_MAX_PRINCIPALS. */
const MAX_PRINCIPALS = 256
const MAX_OPTIONS = 64

export function isCertificate(blob: Buffer): boolean {
  return certifiedType(typeOf(blob)) !== undefined
}

/** Returns undefined if the blob is no certificate, or has bytes besides its fields. */
export function parseCertificate(blob: Buffer): Certificate | undefined {
  try {
    return parse(blob)
  } catch {
    return undefined
  }
}

function parse(blob: Buffer): Certificate | undefined {
  const reader = new PacketReader(blob)
  const type = certifiedType(reader.text()) ?? ''
  const parts = PARTS[type]
  if (parts === undefined) return undefined
  reader.string() // nonce
  const from = reader.offset
  for (let part = 0; part < parts; part++) reader.string()
  const key = Buffer.concat([wireString(type), blob.subarray(from, reader.offset)])
  const serial = reader.u64()
  const kind = reader.u32()
  const keyId = text(reader.string())
  const principals = strings(reader.string(), MAX_PRINCIPALS).map(text)
  const [validAfter, validBefore] = [reader.u64(), reader.u64()]
  const [critical, extensions] = [options(reader.string()), options(reader.string())]
  reader.string() // reserved
  const authority = reader.string()
  const signed = blob.subarray(0, reader.offset)
  const signature = reader.string()
  if (reader.left > 0 || isCertificate(authority)) return undefined
  const facts = { serial, kind, keyId, principals, validAfter, validBefore, critical, extensions }
  return { blob, key, fingerprint: fingerprint(key), ...facts, authority, signed, signature }
}

function strings(bytes: Buffer, most: number): Buffer[] {
  const reader = new PacketReader(bytes)
  const found: Buffer[] = []
  while (reader.left > 0) {
    if (found.length === most) throw new Error('too many')
    found.push(reader.string())
  }
  return found
}

function options(bytes: Buffer): CertificateOption[] {
  const found = strings(bytes, 2 * MAX_OPTIONS)
  if (found.length % 2 !== 0) throw new Error('an option without data')
  return found.flatMap((name, at) =>
    at % 2 === 0 ? [{ name: text(name), data: found[at + 1] ?? Buffer.alloc(0) }] : [],
  )
}

/** Refuses a NUL byte: it would end the text for some readers, and not for others. */
function text(bytes: Buffer): string {
  if (bytes.includes(0)) throw new Error('a NUL byte')
  return bytes.toString('utf8')
}
