/**
 * Public keys and signatures of user authentication: RFC 4253 §6.6, RFC 5656 §3.1, RFC 8332, RFC 8709, OpenSSH's
 * PROTOCOL.certkeys and PROTOCOL.u2f. No SHA-1, no DSA, no RSA below 2048 bits. A certificate is only taken apart as far
 * as its key: whether to believe it is the authenticator's decision.
 */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { fields, PacketReader } from './packets.ts'

/** server-sig-algs of RFC 8308 §3.1. */
export const SIGNATURE_ALGORITHMS: readonly string[] = [
  'ssh-ed25519',
  'sk-ssh-ed25519@openssh.com',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'sk-ecdsa-sha2-nistp256@openssh.com',
  'rsa-sha2-512',
  'rsa-sha2-256',
]

/** RequiredRSASize. sshd 9.2 says 1024; below 2048 no key is made since 2010. */
export const MIN_RSA_BITS = 2048
const CERTIFICATE = /-cert-v01@openssh\.com$/

interface Curve {
  readonly jwk: string
  readonly size: number
  readonly hash: string
}

const CURVES: Readonly<Record<string, Curve>> = {
  nistp256: { jwk: 'P-256', size: 32, hash: 'sha256' },
  nistp384: { jwk: 'P-384', size: 48, hash: 'sha384' },
  nistp521: { jwk: 'P-521', size: 66, hash: 'sha512' },
}

/** A key of a kind we take, and how its signatures are checked. */
export interface UserKey {
  readonly object: KeyObject
  /** The same key, be it bare or in a certificate. */
  equals(other: UserKey): boolean
  /** As `ssh-keygen -l` prints it; a certificate's is that of its key. */
  readonly fingerprint: string
  /** Checks a signature blob of RFC 4253 §6.6 over `data`; undefined: it is not one. */
  verify(data: Buffer, signature: Buffer): Signed | undefined
}

export interface Signed {
  /** Of FIDO keys: whether that is enough is for the asker to say. */
  readonly fido?: FidoSignature
}

/** PROTOCOL.u2f "SSH U2F Signatures": what the token says of how it signed. */
export interface FidoSignature {
  /** Somebody touched the token. */
  readonly touched: boolean
  /** The token verified its user, by PIN or fingerprint. */
  readonly verified: boolean
  readonly counter: number
}

/** Undefined when the key or its algorithm is not one we take. */
export function parseUserKey(algorithm: string, blob: Buffer): UserKey | undefined {
  const signatureAlgorithm = certifiedType(algorithm) ?? algorithm
  if (!SIGNATURE_ALGORITHMS.includes(signatureAlgorithm)) return undefined
  try {
    const reader = new PacketReader(blob)
    const type = reader.text()
    const certified = certifiedType(type)
    if ((certified === undefined) !== (certifiedType(algorithm) === undefined)) return undefined
    const keyType = certified ?? type
    if (keyType !== (signatureAlgorithm.startsWith('rsa-sha2-') ? 'ssh-rsa' : signatureAlgorithm)) return undefined
    if (certified !== undefined) reader.string() // nonce
    const start = reader.offset
    const key = readKey(keyType, reader)
    const plain = fields(keyType, { raw: blob.subarray(start, reader.offset) })
    if (!key || (certified === undefined && reader.left > 0)) return undefined
    return {
      object: key.object,
      fingerprint: fingerprint(plain),
      equals: (other) => key.object.equals(other.object),
      verify: (data, signature) => verifyBlob(key, signatureAlgorithm, data, signature),
    }
  } catch {
    return undefined
  }
}

/** "SHA256:...", as ssh-keygen -l prints it; of any blob, also of one that is no key. */
export function fingerprint(blob: Buffer): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`
}

/** "sk-ssh-ed25519-cert-v01@openssh.com" certifies a "sk-ssh-ed25519@openssh.com"; undefined: it is no certificate's. */
export function certifiedType(type: string): string | undefined {
  if (!CERTIFICATE.test(type)) return undefined
  const base = type.replace(CERTIFICATE, '')
  return base.startsWith('sk-') ? `${base}@openssh.com` : base
}

interface Key {
  readonly object: KeyObject
  readonly curve?: Curve
  /** FIDO application; such a key signs more than the data. */
  readonly application?: Buffer
}

function readKey(type: string, reader: PacketReader): Key | undefined {
  switch (type) {
    case 'ssh-ed25519':
      return { object: ed25519(reader.string()) }
    case 'sk-ssh-ed25519@openssh.com':
      return { object: ed25519(reader.string()), application: reader.string() }
    case 'sk-ecdsa-sha2-nistp256@openssh.com':
      return { ...ecdsa('nistp256', reader), application: reader.string() }
    case 'ssh-rsa': {
      const e = unsigned(reader.string())
      const n = unsigned(reader.string())
      const object = createPublicKey({ format: 'jwk', key: { kty: 'RSA', e: base64(e), n: base64(n) } })
      const bits = object.asymmetricKeyDetails?.modulusLength ?? 0
      return bits >= MIN_RSA_BITS ? { object } : undefined
    }
    default:
      return ecdsa(type.replace('ecdsa-sha2-', ''), reader)
  }
}

function ed25519(point: Buffer): KeyObject {
  return createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x: base64(point) } })
}

function ecdsa(name: string, reader: PacketReader): Key {
  const curve = CURVES[name]
  const point = (reader.text() === name && reader.string()) || Buffer.alloc(0)
  // Uncompressed points only, as OpenSSH (sshkey.c).
  if (!curve || point[0] !== 4 || point.length !== 1 + 2 * curve.size) throw new Error('not a point')
  const x = base64(point.subarray(1, 1 + curve.size))
  const y = base64(point.subarray(1 + curve.size))
  return { object: createPublicKey({ format: 'jwk', key: { kty: 'EC', crv: curve.jwk, x, y } }), curve }
}

function verifyBlob(key: Key, algorithm: string, data: Buffer, blob: Buffer): Signed | undefined {
  try {
    const reader = new PacketReader(blob)
    // The algorithm inside must be the one asked for: no way back to SHA-1.
    if (reader.text() !== algorithm) return undefined
    const signature = reader.string()
    if (!key.application) return reader.left === 0 && holds(key, algorithm, data, signature) ? {} : undefined
    const tail = reader.rest()
    const [flags = 0] = tail
    const message = Buffer.concat([sha256(key.application), tail, sha256(data)])
    if (tail.length !== 5 || !holds(key, algorithm, message, signature)) return undefined
    return { fido: { touched: (flags & 1) !== 0, verified: (flags & 4) !== 0, counter: tail.readUInt32BE(1) } }
  } catch {
    return undefined
  }
}

function holds({ object, curve }: Key, algorithm: string, message: Buffer, signature: Buffer): boolean {
  if (curve) return verify(curve.hash, message, { key: object, dsaEncoding: 'ieee-p1363' }, pair(signature, curve))
  const hash = algorithm === 'rsa-sha2-512' ? 'sha512' : algorithm === 'rsa-sha2-256' ? 'sha256' : null
  return verify(hash, message, object, signature)
}

/** Two mpints as two numbers of fixed size. */
function pair(signature: Buffer, curve: Curve): Buffer {
  const reader = new PacketReader(signature)
  const both = Buffer.alloc(2 * curve.size)
  for (const end of [curve.size, 2 * curve.size]) {
    const number = unsigned(reader.string())
    if (number.length > curve.size) throw new Error('number too long')
    number.copy(both, end - number.length)
  }
  if (reader.left > 0) throw new Error('trailing bytes')
  return both
}

function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest()
}

function unsigned(mpint: Buffer): Buffer {
  let zeros = 0
  while (zeros < mpint.length - 1 && mpint[zeros] === 0) zeros++
  return mpint.subarray(zeros)
}

function base64(bytes: Buffer): string {
  return bytes.toString('base64url')
}
