/** Parses authorized_keys(5), without I/O. The reference is sshd: auth2-pubkeyfile.c and auth-options.c. */

import { fingerprint, MIN_RSA_BITS } from '../ssh/public-key.ts'
import { type KeyOptions, NO_OPTIONS, optionsLength, parseKeyOptions } from './key-options.ts'
import { publicFields, typeOf } from './openssh-key.ts'

export interface AuthorizedKey {
  readonly type: string
  readonly blob: Buffer
  readonly fingerprint: string
  readonly comment: string
  readonly options: KeyOptions
  /** Counted from 1. */
  readonly line: number
}

export interface RefusedLine {
  readonly line: number
  readonly reason: string
}

export interface ParsedKeys {
  readonly keys: readonly AuthorizedKey[]
  readonly refused: readonly RefusedLine[]
}

const KEY_TYPE = /^(ssh-|ecdsa-sha2-|sk-ssh-|sk-ecdsa-)[a-z0-9@.-]+$/

export function parseAuthorizedKeys(text: string): ParsedKeys {
  const keys: AuthorizedKey[] = []
  const refused: RefusedLine[] = []
  for (const [index, raw] of text.split('\n').entries()) {
    const content = raw.trim()
    if (content === '' || content.startsWith('#')) continue
    const parsed = parseLine(content)
    if (typeof parsed === 'string') refused.push({ line: index + 1, reason: parsed })
    else keys.push({ ...parsed, line: index + 1 })
  }
  return { keys, refused }
}

function parseLine(content: string): Omit<AuthorizedKey, 'line'> | string {
  if (content.includes('\0')) return 'a NUL byte'
  const written = KEY_TYPE.test(firstWord(content)) ? 0 : optionsLength(content)
  if (written === undefined) return 'a quote stays open'
  const rest = content.slice(written).trimStart()
  const type = firstWord(rest)
  if (!KEY_TYPE.test(type)) return 'no key type where one is expected'
  const afterType = rest.slice(type.length).trimStart()
  const base64 = firstWord(afterType)
  const comment = afterType.slice(base64.length).trim()
  const blob = Buffer.from(base64, 'base64')
  // Buffer.from skips what is not base64: a mangled key must not become another key.
  if (base64 === '' || stripped(blob.toString('base64')) !== stripped(base64)) return 'the key is not base64'
  if (typeOf(blob) !== type) return `the key is not of type ${type}`
  const fault = faultOf(type, blob)
  if (fault !== undefined) return fault
  const options = written === 0 ? NO_OPTIONS : parseKeyOptions(content.slice(0, written))
  return typeof options === 'string' ? options : { type, blob, fingerprint: fingerprint(blob), comment, options }
}

function firstWord(text: string): string {
  return /^\S*/.exec(text)?.[0] ?? ''
}

function stripped(base64: string): string {
  let end = base64.length
  while (base64[end - 1] === '=') end--
  return base64.slice(0, end)
}

const CURVES: Readonly<Record<string, number>> = { nistp256: 65, nistp384: 97, nistp521: 133 }

/** Returns what is wrong with the key itself, or undefined. */
function faultOf(type: string, blob: Buffer): string | undefined {
  if (type.includes('-cert-v01@')) return 'a certificate; the CA key belongs here'
  const fields = publicFields(blob)
  if (!fields) return 'the key is malformed'
  const [first, second, third] = fields
  switch (type) {
    case 'ssh-ed25519':
      return fields.length === 1 && first?.length === 32 ? undefined : 'the key is malformed'
    case 'sk-ssh-ed25519@openssh.com':
      return fields.length === 2 && first?.length === 32 ? undefined : 'the key is malformed'
    case 'ecdsa-sha2-nistp256':
    case 'ecdsa-sha2-nistp384':
    case 'ecdsa-sha2-nistp521':
      return fields.length === 2 && isPoint(type.slice('ecdsa-sha2-'.length), first, second)
        ? undefined
        : 'the key is malformed'
    case 'sk-ecdsa-sha2-nistp256@openssh.com':
      return fields.length === 3 && isPoint('nistp256', first, second) && third ? undefined : 'the key is malformed'
    case 'ssh-rsa': {
      if (fields.length !== 2 || !first || !second) return 'the key is malformed'
      const bits = bitLength(second)
      return bits >= MIN_RSA_BITS ? undefined : `an RSA key of ${bits} bits is too short (at least ${MIN_RSA_BITS})`
    }
    case 'ssh-dss':
      return 'DSA keys are not accepted'
    default:
      return `keys of type ${type} are not known`
  }
}

function isPoint(curve: string, name: Buffer | undefined, point: Buffer | undefined): boolean {
  return name?.toString('latin1') === curve && point !== undefined && point.length === CURVES[curve] && point[0] === 4
}

function bitLength(mpint: Buffer): number {
  let start = 0
  while (mpint[start] === 0) start++
  const top = mpint[start]
  return top === undefined ? 0 : (mpint.length - start - 1) * 8 + (32 - Math.clz32(top))
}
