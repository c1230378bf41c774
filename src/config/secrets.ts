/** Parses the secrets of a configuration, scrypt hashes and TOTP keys; undefined for anything else. auth/ uses them. */

/** scrypt, RFC 7914, as "$scrypt$ln=15,r=8,p=3$SALT$HASH": the PHC string format, which passlib writes, too. */
export interface PasswordHash {
  /** log2 of N. */
  readonly ln: number
  readonly r: number
  readonly p: number
  readonly salt: Buffer
  readonly hash: Buffer
}

const PHC =
  /^\$scrypt\$ln=([1-9]\d?),r=([1-9]\d?),p=([1-9]\d?)\$([A-Za-z0-9+/]{11,128})(?:={0,2})\$([A-Za-z0-9+/]{22,128})(?:={0,2})$/
/** So that no configured hash stalls the gateway's own logins: about two seconds. */
const MAX_MEMORY_BYTES = 256 * 1024 * 1024
const MAX_WORK = 1024 * 1024 * 1024

export function parsePasswordHash(text: string): PasswordHash | undefined {
  const [, ln, r, p, salt = '', hash = ''] = PHC.exec(text) ?? []
  const cost = { ln: Number(ln), r: Number(r), p: Number(p) }
  if (ln === undefined) return undefined
  if (memoryOf(cost) > MAX_MEMORY_BYTES || memoryOf(cost) * cost.p > MAX_WORK) return undefined
  return { ...cost, salt: Buffer.from(salt, 'base64'), hash: Buffer.from(hash, 'base64') }
}

export function memoryOf({ ln, r }: Pick<PasswordHash, 'ln' | 'r'>): number {
  return 128 * 2 ** ln * r
}

/** RFC 6238. */
export interface TotpKey {
  readonly secret: Buffer
  readonly algorithm: 'sha1' | 'sha256' | 'sha512'
  readonly digits: number
  /** Seconds. */
  readonly period: number
}

const MIN_SECRET_BYTES = 10
const MAX_SECRET_BYTES = 128

/** Takes a secret in base32 (SHA-1, 6 digits, 30 s, as every app has it), or a whole otpauth:// URI. */
export function parseTotp(text: string): TotpKey | undefined {
  if (!text.startsWith('otpauth:')) return totpKey(text, 'SHA1', 6, 30)
  if (!URL.canParse(text)) return undefined
  const { host, searchParams: given } = new URL(text)
  const number = (name: string, otherwise: number) => {
    const value = given.get(name)
    return value === null ? otherwise : /^\d{1,3}$/.test(value) ? Number(value) : Number.NaN
  }
  if (host !== 'totp') return undefined
  return totpKey(given.get('secret') ?? '', given.get('algorithm') ?? 'SHA1', number('digits', 6), number('period', 30))
}

function totpKey(base32: string, algorithm: string, digits: number, period: number): TotpKey | undefined {
  const secret = fromBase32(base32)
  const name = algorithm.toLowerCase().replace('-', '')
  if (!secret || secret.length < MIN_SECRET_BYTES || secret.length > MAX_SECRET_BYTES) return undefined
  if (name !== 'sha1' && name !== 'sha256' && name !== 'sha512') return undefined
  if (!(digits >= 6 && digits <= 8) || !(period >= 15 && period <= 120)) return undefined
  return { secret, algorithm: name, digits, period }
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** RFC 4648 §6; people type it in groups and in small letters. */
export function fromBase32(text: string): Buffer | undefined {
  const letters = text.toUpperCase().replaceAll(/[\s-]/g, '').replace(/=+$/, '')
  const bytes: number[] = []
  let bits = 0
  let value = 0
  for (const letter of letters) {
    const digit = BASE32.indexOf(letter)
    if (digit < 0) return undefined
    value = ((value << 5) | digit) & 0xfff
    bits += 5
    if (bits < 8) continue
    bits -= 8
    bytes.push((value >> bits) & 0xff)
  }
  return Buffer.from(bytes)
}

export function toBase32(bytes: Buffer): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  return (bits.match(/.{1,5}/g) ?? []).map((five) => BASE32[Number.parseInt(five.padEnd(5, '0'), 2)]).join('')
}
