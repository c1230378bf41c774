/**
 * Keys in OpenSSH's own formats: the private file (PROTOCOL.key), the public line, the fingerprint. Written here with
 * node:crypto, as ssh-keygen need not be installed where the gateway runs.
 */
import { createPrivateKey, generateKeyPair, type JsonWebKey, type KeyObject, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { readStrings, wireMpint, wireString } from './wire.ts'

const generate = promisify(generateKeyPair)

export type KeyKind = 'ed25519' | 'ecdsa' | 'rsa'

export interface MadeKey {
  /** "-----BEGIN OPENSSH PRIVATE KEY-----", no passphrase. */
  readonly privateFile: string
  /** "ssh-ed25519 AAAA... comment\n" */
  readonly publicFile: string
  readonly blob: Buffer
}

/** ecdsa is nistp256, rsa has 3072 bits: ssh-keygen's defaults. */
export async function makeKey(kind: KeyKind, comment: string): Promise<MadeKey> {
  const jwk = (await pair(kind)).privateKey.export({ format: 'jwk' })
  const blob = publicBlob(jwk)
  return {
    privateFile: privateFile(jwk, blob, comment),
    publicFile: `${typeOf(blob)} ${blob.toString('base64')} ${comment}\n`,
    blob,
  }
}

function pair(kind: KeyKind) {
  if (kind === 'ed25519') return generate('ed25519')
  if (kind === 'ecdsa') return generate('ec', { namedCurve: 'P-256' })
  return generate('rsa', { modulusLength: 3072 })
}

/** Returns the key type at the start of a public key blob, or "". */
export function typeOf(blob: Buffer): string {
  if (blob.length < 4) return ''
  const length = blob.readUInt32BE(0)
  return length <= 64 && blob.length >= 4 + length ? blob.toString('latin1', 4, 4 + length) : ''
}

const MAGIC = 'openssh-key-v1\0'
const ARMOUR = /-----BEGIN OPENSSH PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END OPENSSH PRIVATE KEY-----/

export interface PrivateKeyFile {
  /** Public key blob, RFC 4253 §6.6. */
  readonly blob: Buffer
  /** The private key in OpenSSH's own format, whatever the format of the file. A secret. */
  readonly privateKey: Buffer
}

/**
 * Reads a private key file without a passphrase: OpenSSH's own format, or OpenSSL's PEM (PKCS#1, SEC 1, PKCS#8).
 *
 * @returns 'dsa' for a DSA key: OpenSSH has none since version 10
 * @throws Error saying what is wrong
 */
export function readPrivateKey(file: Buffer): PrivateKeyFile | 'dsa' {
  const armoured = ARMOUR.exec(file.toString('latin1'))
  if (armoured) {
    const { blob } = opened(armoured)
    return typeOf(blob) === 'ssh-dss' ? 'dsa' : { blob, privateKey: file }
  }
  const key = createPrivateKey(file)
  if (key.asymmetricKeyType === 'dsa') return 'dsa'
  const jwk = key.export({ format: 'jwk' })
  const blob = publicBlob(jwk)
  return { blob, privateKey: Buffer.from(privateFile(jwk, blob, '')) }
}

/** The private key of an ed25519 key file in OpenSSH's format, without a passphrase. @throws Error saying what is wrong */
export function readSigningKey(file: Buffer): { readonly blob: Buffer; readonly key: KeyObject } {
  const armoured = ARMOUR.exec(file.toString('latin1'))
  if (!armoured) throw new Error('not an OpenSSH private key')
  const { blob, secret } = opened(armoured)
  // Two equal numbers, then the type, the public point, and the seed with the point behind it (PROTOCOL.key, 3).
  const type = wireString('ssh-ed25519')
  const fields = secret.subarray(8)
  if (!fields.subarray(0, type.length).equals(type)) throw new Error('not an ed25519 key')
  const x = fields.subarray(type.length + 4, type.length + 4 + 32)
  const d = fields.subarray(type.length + 4 + 32 + 4, type.length + 4 + 32 + 4 + 32)
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: x.toString('base64url'), d: d.toString('base64url') }
  return { blob, key: createPrivateKey({ key: jwk, format: 'jwk' }) }
}

function opened(armoured: RegExpExecArray): { readonly blob: Buffer; readonly secret: Buffer } {
  const body = Buffer.from(armoured[1] ?? '', 'base64')
  if (body.toString('latin1', 0, MAGIC.length) !== MAGIC) throw new Error('not an OpenSSH private key')
  // Cipher, KDF and its options, then the number of keys: always one (PROTOCOL.key, 1).
  const rest = body.subarray(MAGIC.length)
  let at = 0
  const next = () => {
    if (rest.length - at < 4) throw new Error('the OpenSSH private key is cut short')
    const length = rest.readUInt32BE(at)
    if (length > rest.length - at - 4) throw new Error('the OpenSSH private key is cut short')
    const field = rest.subarray(at + 4, at + 4 + length)
    at += 4 + length
    return field
  }
  const cipher = next().toString('latin1')
  next()
  next()
  at += 4
  const blob = next()
  if (cipher !== 'none') throw new Error('it has a passphrase, which nobody could type')
  return { blob: Buffer.from(blob), secret: next() }
}

function publicBlob(jwk: JsonWebKey): Buffer {
  if (jwk.crv === 'Ed25519') return Buffer.concat([wireString('ssh-ed25519'), wireString(number(jwk.x))])
  if (jwk.kty === 'RSA')
    return Buffer.concat([wireString('ssh-rsa'), wireMpint(number(jwk.e)), wireMpint(number(jwk.n))])
  const curve = curveName(jwk)
  return Buffer.concat([wireString(`ecdsa-sha2-${curve}`), wireString(curve), wireString(point(jwk))])
}

function curveName(jwk: JsonWebKey): string {
  if (jwk.crv === 'P-256') return 'nistp256'
  if (jwk.crv === 'P-384') return 'nistp384'
  if (jwk.crv === 'P-521') return 'nistp521'
  throw new Error(`keys of this type are not supported (${jwk.crv ?? jwk.kty ?? 'unknown'})`)
}

function point(jwk: JsonWebKey): Buffer {
  return Buffer.concat([Buffer.of(4), number(jwk.x), number(jwk.y)])
}

function number(base64url: string | undefined): Buffer {
  if (base64url === undefined) throw new Error('the key lacks a part')
  return Buffer.from(base64url, 'base64url')
}

function privateFile(jwk: JsonWebKey, blob: Buffer, comment: string): string {
  const check = randomBytes(4)
  const secret = Buffer.concat([check, check, privateFields(jwk), wireString(comment)])
  // Padded 1 2 3 ... to the block size, which is 8 without a cipher.
  const padding = Buffer.from(Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, index) => index + 1))
  const body = Buffer.concat([
    Buffer.from(MAGIC, 'latin1'),
    wireString('none'),
    wireString('none'),
    wireString(''),
    Buffer.of(0, 0, 0, 1),
    wireString(blob),
    wireString(Buffer.concat([secret, padding])),
  ])
  const lines = body.toString('base64').replaceAll(/.{70}/g, '$&\n').trimEnd()
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----\n`
}

function privateFields(jwk: JsonWebKey): Buffer {
  if (jwk.kty === 'RSA') {
    const parts = [jwk.n, jwk.e, jwk.d, jwk.qi, jwk.p, jwk.q].map((part) => wireMpint(number(part)))
    return Buffer.concat([wireString('ssh-rsa'), ...parts])
  }
  if (jwk.crv === 'Ed25519') {
    const secret = Buffer.concat([number(jwk.d), number(jwk.x)])
    return Buffer.concat([wireString('ssh-ed25519'), wireString(number(jwk.x)), wireString(secret)])
  }
  const curve = curveName(jwk)
  return Buffer.concat([
    wireString(`ecdsa-sha2-${curve}`),
    wireString(curve),
    wireString(point(jwk)),
    wireMpint(number(jwk.d)),
  ])
}

/** Returns the fields of a public key blob after its type; undefined if it is malformed. */
export function publicFields(blob: Buffer): Buffer[] | undefined {
  return readStrings(blob)?.slice(1)
}
