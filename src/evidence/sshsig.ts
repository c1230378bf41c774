/** Signatures that `ssh-keygen -Y verify` checks: OpenSSH's PROTOCOL.sshsig, with ed25519. */
import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { readStrings, wireString } from '../auth/wire.ts'

const MAGIC = Buffer.from('SSHSIG')
const VERSION = Buffer.of(0, 0, 0, 1)
const HASH = 'sha512'
const TYPE = 'ssh-ed25519'
const ARMOUR = /^-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]+)\n-----END SSH SIGNATURE-----\n?$/

/** @param blob the public key, RFC 4253 §6.6 */
export function sshSign(message: Buffer, namespace: string, key: KeyObject, blob: Buffer): string {
  const signature = sign(null, signed(message, namespace, HASH), key)
  const body = Buffer.concat([
    ...[MAGIC, VERSION, wireString(blob), wireString(namespace), wireString(''), wireString(HASH)],
    wireString(Buffer.concat([wireString(TYPE), wireString(signature)])),
  ])
  const lines = body.toString('base64').replaceAll(/.{70}/g, '$&\n').trimEnd()
  return `-----BEGIN SSH SIGNATURE-----\n${lines}\n-----END SSH SIGNATURE-----\n`
}

/** Returns the public key blob by whose key the message is signed; undefined: it is not signed, or not for that namespace. */
export function sshSigner(message: Buffer, namespace: string, armoured: string): Buffer | undefined {
  const body = Buffer.from(ARMOUR.exec(armoured)?.[1] ?? '', 'base64')
  const head = Buffer.concat([MAGIC, VERSION])
  if (!body.subarray(0, head.length).equals(head)) return undefined
  const [blob, space, , hash, signature] = readStrings(body.subarray(head.length)) ?? []
  const [type, bytes] = (signature && readStrings(signature)) ?? []
  const name = hash?.toString()
  if (!blob || !bytes || space?.toString() !== namespace || (name !== 'sha512' && name !== 'sha256')) return undefined
  const [keyType, point] = readStrings(blob) ?? []
  if (type?.toString() !== TYPE || keyType?.toString() !== TYPE || point?.length !== 32) return undefined
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: point.toString('base64url') }, format: 'jwk' })
  return verify(null, signed(message, namespace, name), key, bytes) ? blob : undefined
}

function signed(message: Buffer, namespace: string, hash: 'sha256' | 'sha512'): Buffer {
  const digest = createHash(hash).update(message).digest()
  return Buffer.concat([MAGIC, wireString(namespace), wireString(''), wireString(hash), wireString(digest)])
}
