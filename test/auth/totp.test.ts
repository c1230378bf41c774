import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { codeAt, otpauthUri, stepOf } from '../../src/auth/totp.ts'
import { createUsedSteps } from '../../src/auth/used-steps.ts'
import { fromBase32, parseTotp, type TotpKey, toBase32 } from '../../src/config/secrets.ts'

/** RFC 6238 appendix B. */
const VECTORS: [TotpKey['algorithm'], number, number, string][] = [
  ['sha1', 20, 59, '94287082'],
  ['sha1', 20, 1111111109, '07081804'],
  ['sha1', 20, 1111111111, '14050471'],
  ['sha1', 20, 1234567890, '89005924'],
  ['sha1', 20, 2000000000, '69279037'],
  ['sha1', 20, 20000000000, '65353130'],
  ['sha256', 32, 59, '46119246'],
  ['sha256', 32, 1111111109, '68084774'],
  ['sha256', 32, 20000000000, '77737706'],
  ['sha512', 64, 59, '90693936'],
  ['sha512', 64, 1111111109, '25091201'],
]

const secretOf = (length: number) => Buffer.from('1234567890'.repeat(7).slice(0, length))

describe('a code', () => {
  it.each(VECTORS)('by %s with a secret of %i bytes at second %i is %s', (algorithm, length, time, code) => {
    const key = { secret: secretOf(length), algorithm, digits: 8, period: 30 }
    expect(codeAt(key, Math.floor(time / 30))).toBe(code)
    expect(stepOf(key, code, time * 1000)).toBe(Math.floor(time / 30))
  })

  it('is taken one step early and late, with the blank that apps show, and no further', () => {
    const key = { secret: secretOf(20), algorithm: 'sha1', digits: 6, period: 30 } as const
    const now = 1_700_000_010_000
    const step = Math.floor(now / 30_000)
    expect([-2, -1, 0, 1, 2].map((off) => stepOf(key, codeAt(key, step + off), now))).toEqual([
      undefined,
      step - 1,
      step,
      step + 1,
      undefined,
    ])
    const code = codeAt(key, step)
    expect(stepOf(key, `${code.slice(0, 3)} ${code.slice(3)}`, now)).toBe(step)
    for (const wrong of ['', '12345', `${code}0`, code.slice(1), '１２３４５６', 'abcdef']) {
      expect(stepOf(key, wrong, now)).toBeUndefined()
    }
  })
})

describe('a secret', () => {
  it('goes through base32 and back, whatever its length', () => {
    // RFC 4648 §10.
    expect(toBase32(Buffer.from('foobar'))).toBe('MZXW6YTBOI')
    expect(fromBase32('MZXW6YTBOI======')?.toString()).toBe('foobar')
    expect(fromBase32('mzxw 6ytb-oi')?.toString()).toBe('foobar')
    for (let length = 0; length < 70; length++) expect(fromBase32(toBase32(secretOf(length)))).toEqual(secretOf(length))
  })

  it('is read from base32 and from an otpauth URI, as we print it and as others do', () => {
    const plain = { secret: secretOf(20), algorithm: 'sha1', digits: 6, period: 30 }
    expect(parseTotp(toBase32(secretOf(20)))).toEqual(plain)
    expect(parseTotp(otpauthUri(secretOf(20), 'alice@corp'))).toEqual(plain)
    const secret = toBase32(secretOf(32))
    expect(
      parseTotp(`otpauth://totp/ACME:alice?secret=${secret}&issuer=ACME&algorithm=SHA256&digits=8&period=60`),
    ).toEqual({ secret: secretOf(32), algorithm: 'sha256', digits: 8, period: 60 })
  })

  it.each([
    '',
    'JBSWY3DP',
    'not base32 at all!',
    'otpauth://hotp/x?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&counter=1',
    'otpauth://totp/x',
    'otpauth://totp/x?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&algorithm=MD5',
    'otpauth://totp/x?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&digits=4',
    'otpauth://totp/x?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&digits=6.5',
    'otpauth://totp/x?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&period=0',
    `otpauth://totp/x?secret=${'A'.repeat(1000)}`,
  ])('%j is none', (text) => {
    expect(parseTotp(text)).toBeUndefined()
  })
})

describe('a used step', () => {
  let directory: string
  beforeEach(() => {
    directory = join(mkdtempSync(join(tmpdir(), 'hw-test-totp-')), 'state', 'totp')
  })
  afterEach(() => rmSync(join(directory, '..', '..'), { recursive: true }))

  it('is used for every gateway over the directory, and so are those before it', async () => {
    const [one, other] = [createUsedSteps(directory), createUsedSteps(directory)]
    expect(await one.claim('alice', 100)).toBe(true)
    expect(await other.claim('alice', 100)).toBe(false)
    expect(await other.claim('alice', 99)).toBe(false)
    expect(await other.claim('bob', 100)).toBe(true)
    expect(await other.claim('alice', 101)).toBe(true)
    expect(readdirSync(directory).sort()).toEqual(['alice.101', 'bob.100'])
    expect(statSync(directory).mode & 0o777).toBe(0o700)
  })

  it('is one person’s when many claim it at once', async () => {
    const claims = await Promise.all(Array.from({ length: 20 }, () => createUsedSteps(directory).claim('alice', 7)))
    expect(claims.filter(Boolean)).toHaveLength(1)
  })

  it('of alice.1 is none of alice', async () => {
    const used = createUsedSteps(directory)
    expect(await used.claim('alice.1', 500)).toBe(true)
    expect(await used.claim('alice', 2)).toBe(true)
    expect(await used.claim('alice.1', 501)).toBe(true)
  })
})
