/**
 * A FIDO token of software (PROTOCOL.u2f): makes keys, signs as told, and lends itself to the real client through a
 * provider library (sk-provider.c) that asks soft-token-sign.mjs.
 */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { execa } from 'execa'
import { wireString } from '../../src/auth/wire.ts'

export type TokenKind = 'ed25519' | 'ecdsa'

export const TOUCHED = 1
export const VERIFIED = 4

export interface TokenKey {
  readonly type: string
  readonly blob: Buffer
  readonly line: string
  /** A signature blob over `data`, as a token would give it. */
  sign(data: Buffer, flags: number, counter?: number): Buffer
}

const APPLICATION = 'ssh:'

/** Also writes NAME and NAME.pub into `folder`, for the real client; `flags` are what it asks the token for. */
export function makeTokenKey(folder: string, name: string, kind: TokenKind, flags = TOUCHED): TokenKey {
  const pair = kind === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const type = kind === 'ed25519' ? 'sk-ssh-ed25519@openssh.com' : 'sk-ecdsa-sha2-nistp256@openssh.com'
  const fields = [...publicFields(pair.publicKey, kind), wireString(APPLICATION)]
  const blob = Buffer.concat([wireString(type), ...fields])
  const pem = join(folder, `${name}.pem`)
  writeFileSync(pem, pair.privateKey.export({ format: 'pem', type: 'pkcs8' }))
  const line = `${type} ${blob.toString('base64')} ${name}`
  writeFileSync(join(folder, `${name}.pub`), `${line}\n`)
  const secret = [wireString(type), ...fields, Buffer.of(flags), wireString(pem), wireString('')]
  writeFileSync(join(folder, name), privateFile(blob, Buffer.concat(secret), name), { mode: 0o600 })
  return {
    type,
    blob,
    line,
    sign: (data, flags, counter = 1) => {
      const tail = Buffer.alloc(5)
      tail.writeUInt8(flags)
      tail.writeUInt32BE(counter, 1)
      const message = Buffer.concat([sha256(Buffer.from(APPLICATION)), tail, sha256(data)])
      return Buffer.concat([wireString(type), wireString(signature(pair.privateKey, kind, message)), tail])
    },
  }
}

function publicFields(key: KeyObject, kind: TokenKind): Buffer[] {
  const { x = '', y = '' } = key.export({ format: 'jwk' })
  const [first, second] = [Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]
  if (kind === 'ed25519') return [wireString(first)]
  return [wireString('nistp256'), wireString(Buffer.concat([Buffer.of(4), first, second]))]
}

function signature(key: KeyObject, kind: TokenKind, message: Buffer): Buffer {
  if (kind === 'ed25519') return sign(null, message, key)
  const both = sign('sha256', message, { key, dsaEncoding: 'ieee-p1363' })
  return Buffer.concat([mpint(both.subarray(0, 32)), mpint(both.subarray(32))])
}

function mpint(bytes: Buffer): Buffer {
  let start = 0
  while (start < bytes.length - 1 && bytes[start] === 0) start++
  const body = bytes.subarray(start)
  return wireString((body[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.of(0), body]) : body)
}

function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest()
}

/** PROTOCOL.key without a passphrase. */
function privateFile(blob: Buffer, secret: Buffer, comment: string): string {
  const check = Buffer.from([1, 2, 3, 4, 1, 2, 3, 4])
  const body = Buffer.concat([check, secret, wireString(comment)])
  const padding = Buffer.from(Array.from({ length: (8 - (body.length % 8)) % 8 }, (_, index) => index + 1))
  const file = Buffer.concat([
    Buffer.from('openssh-key-v1\0', 'latin1'),
    ...['none', 'none', ''].map(wireString),
    Buffer.of(0, 0, 0, 1),
    wireString(blob),
    wireString(Buffer.concat([body, padding])),
  ])
  const lines = file.toString('base64').replaceAll(/.{70}/g, '$&\n').trimEnd()
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}\n-----END OPENSSH PRIVATE KEY-----\n`
}

/** Compiles the provider for SSH_SK_PROVIDER / SecurityKeyProvider. */
export async function buildProvider(folder: string): Promise<string> {
  const library = join(folder, 'sk-provider.so')
  const here = import.meta.dirname
  const command = `${process.execPath} ${resolve(here, 'soft-token-sign.mjs')}`
  await execa('cc', [
    '-shared',
    '-fPIC',
    '-Wall',
    '-Werror',
    `-DCOMMAND="${command}"`,
    '-o',
    library,
    resolve(here, 'sk-provider.c'),
  ])
  return library
}
