/** Time-based codes, RFC 6238. */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { type TotpKey, toBase32 } from '../config/secrets.ts'

/** How many steps before and after now are accepted: clocks differ, and people type slowly (RFC 6238 §5.2). */
const WINDOW = 1

/** RFC 4226 §5.3 over the step's number. */
export function codeAt(key: TotpKey, step: number): string {
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(step))
  const mac = createHmac(key.algorithm, key.secret).update(counter).digest()
  const offset = (mac[mac.length - 1] ?? 0) & 0xf
  const number = (mac.readUInt32BE(offset) & 0x7fff_ffff) % 10 ** key.digits
  return String(number).padStart(key.digits, '0')
}

/** Returns the step near `now` (milliseconds) whose code this is. All are compared, so that the time tells nothing. */
export function stepOf(key: TotpKey, code: string, now: number): number | undefined {
  const typed = Buffer.from(code.replaceAll(/\s/g, ''))
  const current = Math.floor(now / 1000 / key.period)
  let found: number | undefined
  for (let step = current - WINDOW; step <= current + WINDOW; step++) {
    const expected = Buffer.from(codeAt(key, step))
    if (typed.length === expected.length && timingSafeEqual(typed, expected)) found ??= step
  }
  return found
}

/** The QR code's text for authenticator apps (Key Uri Format). All of them know only SHA-1, 6 digits and 30 s. */
export function otpauthUri(secret: Buffer, name: string): string {
  return `otpauth://totp/hatchway:${encodeURIComponent(name)}?secret=${toBase32(secret)}&issuer=hatchway`
}
