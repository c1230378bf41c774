/**
 * OpenSSH key revocation lists, PROTOCOL.krl, as `ssh-keygen -k` writes them. A section of an unknown type refuses the
 * list: without the section, keys that it revokes would be accepted. Signatures on lists are not checked, as in sshd
 * since 9.4: the file is read only if nobody else may write it.
 */
import { createHash } from 'node:crypto'
import { PacketReader } from '../ssh/packets.ts'
import type { Certificate } from './certificate.ts'

const MAGIC = Buffer.from('SSHKRL\n\0', 'latin1')
const FORMAT = 1

const Section = { CERTIFICATES: 1, KEYS: 2, SHA1: 3, SIGNATURE: 4, SHA256: 5, EXTENSION: 255 } as const
const Sub = { SERIALS: 0x20, RANGE: 0x21, BITMAP: 0x22, KEY_IDS: 0x23, EXTENSION: 0x39 } as const

/** Certificates of one authority. */
interface RevokedCertificates {
  /** Empty for any authority. */
  readonly authority: Buffer
  readonly serials: Set<bigint>
  readonly ranges: { readonly low: bigint; readonly high: bigint }[]
  /** Bit n, counted from the last byte's lowest, is serial `offset` + n. */
  readonly bitmaps: { readonly offset: bigint; readonly bits: Buffer }[]
  readonly keyIds: Set<string>
}

export interface Krl {
  readonly certificates: readonly RevokedCertificates[]
  /** Key blobs and hashes of them, in hexadecimal. */
  readonly keys: ReadonlySet<string>
  readonly sha1: ReadonlySet<string>
  readonly sha256: ReadonlySet<string>
}

export function isKrl(file: Buffer): boolean {
  return file.subarray(0, MAGIC.length).equals(MAGIC)
}

/** @throws Error on anything that is not exactly a list */
export function parseKrl(file: Buffer): Krl {
  if (!isKrl(file)) throw new Error('not a key revocation list')
  const reader = new PacketReader(file, MAGIC.length)
  if (reader.u32() !== FORMAT) throw new Error('a format that is not known')
  // Version of the list, date, flags; reserved; comment.
  for (let half = 0; half < 6; half++) reader.u32()
  reader.string()
  reader.string()
  const krl = {
    certificates: [] as RevokedCertificates[],
    keys: new Set<string>(),
    sha1: new Set<string>(),
    sha256: new Set<string>(),
  }
  while (reader.left > 0) {
    const type = reader.byte()
    const body = reader.string()
    if (type === Section.CERTIFICATES) krl.certificates.push(certificates(new PacketReader(body)))
    else if (type === Section.KEYS) collect(body, krl.keys)
    else if (type === Section.SHA1) collect(body, krl.sha1, 20)
    else if (type === Section.SHA256) collect(body, krl.sha256, 32)
    else if (type === Section.EXTENSION) extension(body)
    // The section's body is the key that signed; the signature follows the section.
    else if (type === Section.SIGNATURE) reader.string()
    else throw new Error(`a section of type ${type}`)
  }
  return krl
}

function collect(body: Buffer, into: Set<string>, length?: number): void {
  const reader = new PacketReader(body)
  while (reader.left > 0) {
    const item = reader.string()
    if (length !== undefined && item.length !== length) throw new Error('a hash of a wrong length')
    into.add(item.toString('hex'))
  }
}

function certificates(reader: PacketReader): RevokedCertificates {
  const authority = reader.string()
  reader.string() // reserved
  const found: RevokedCertificates = { authority, serials: new Set(), ranges: [], bitmaps: [], keyIds: new Set() }
  while (reader.left > 0) {
    const type = reader.byte()
    const body = new PacketReader(reader.string())
    if (type === Sub.SERIALS) while (body.left > 0) found.serials.add(body.u64())
    else if (type === Sub.RANGE) found.ranges.push(range(body))
    else if (type === Sub.BITMAP) found.bitmaps.push({ offset: body.u64(), bits: bitmap(body.string()) })
    else if (type === Sub.KEY_IDS) while (body.left > 0) found.keyIds.add(body.text())
    else if (type === Sub.EXTENSION) extension(body.rest())
    else throw new Error(`a section of certificates of type ${type}`)
    if (body.left > 0) throw new Error('bytes behind a section')
  }
  return found
}

function range(reader: PacketReader): { low: bigint; high: bigint } {
  const [low, high] = [reader.u64(), reader.u64()]
  if (low > high) throw new Error('a range that ends before it begins')
  return { low, high }
}

/** An mpint, so positive: the first bit is not set (RFC 4251 §5). */
function bitmap(bits: Buffer): Buffer {
  if (((bits[0] ?? 0) & 0x80) !== 0) throw new Error('a negative bitmap')
  return bits
}

function extension(body: Buffer): void {
  const reader = new PacketReader(body)
  const name = reader.text()
  const critical = reader.bool()
  reader.string()
  if (reader.left > 0) throw new Error('bytes behind an extension')
  if (critical) throw new Error(`extension ${JSON.stringify(name.slice(0, 64))}`)
}

/** `key` is the blob of a plain key. */
export function revokesKey(krl: Krl, key: Buffer): boolean {
  const hash = (algorithm: string) => createHash(algorithm).update(key).digest('hex')
  if (krl.keys.has(key.toString('hex'))) return true
  return (krl.sha1.size > 0 && krl.sha1.has(hash('sha1'))) || (krl.sha256.size > 0 && krl.sha256.has(hash('sha256')))
}

/** Checks the serial and the key id only: revokesKey() checks the keys in a certificate. */
export function revokesCertificate(krl: Krl, { authority, serial, keyId }: Certificate): boolean {
  return krl.certificates.some((revoked) => {
    if (revoked.authority.length > 0 && !revoked.authority.equals(authority)) return false
    if (revoked.keyIds.has(keyId)) return true
    // An authority that gives no serials writes zero.
    if (serial === 0n) return false
    return (
      revoked.serials.has(serial) ||
      revoked.ranges.some(({ low, high }) => low <= serial && serial <= high) ||
      revoked.bitmaps.some(({ offset, bits }) => serial >= offset && bitOf(bits, serial - offset))
    )
  })
}

function bitOf(bits: Buffer, index: bigint): boolean {
  if (index >= BigInt(bits.length) * 8n) return false
  const at = Number(index)
  const byte = bits[bits.length - 1 - (at >> 3)] ?? 0
  return (byte & (1 << (at & 7))) !== 0
}
