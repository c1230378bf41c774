import { describe, expect, it } from 'vitest'
import { hashPassword, nobodysHash, verifyPassword } from '../../src/auth/password-hash.ts'
import { type PasswordHash, parsePasswordHash } from '../../src/config/secrets.ts'

const never = new AbortController().signal

function parsed(text: string): PasswordHash {
  const hash = parsePasswordHash(text)
  if (!hash) throw new Error(`not a hash: ${text}`)
  return hash
}

/** RFC 7914 §12, as a PHC string. */
const RFC = parsed(
  `$scrypt$ln=14,r=8,p=1$${Buffer.from('SodiumChloride').toString('base64').replace(/=+$/, '')}$${Buffer.from(
    '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887',
    'hex',
  )
    .toString('base64')
    .replace(/=+$/, '')}`,
)

describe('a password', () => {
  it('is verified against the vector of RFC 7914', async () => {
    expect(await verifyPassword(Buffer.from('pleaseletmein'), RFC, never)).toBe(true)
    expect(await verifyPassword(Buffer.from('pleaseletmein '), RFC, never)).toBe(false)
    expect(await verifyPassword(Buffer.alloc(0), RFC, never)).toBe(false)
  })

  it('is hashed with a new salt each time, into what the configuration takes', async () => {
    const [one, two] = await Promise.all([
      hashPassword(Buffer.from('pass wörd')),
      hashPassword(Buffer.from('pass wörd')),
    ])
    expect(one).not.toBe(two)
    expect(await verifyPassword(Buffer.from('pass wörd'), parsed(one), never)).toBe(true)
    expect(await verifyPassword(Buffer.from('pass word'), parsed(two), never)).toBe(false)
  })

  it('of nobody is never right, and costs what another costs', async () => {
    expect(nobodysHash(RFC)).toMatchObject({ ln: 14, r: 8, p: 1 })
    expect(await verifyPassword(Buffer.alloc(0), nobodysHash(undefined), never)).toBe(false)
  })
})

describe('a hash in the configuration', () => {
  it.each([
    '',
    'secret',
    '$scrypt$ln=15,r=8,p=3$c2FsdA$aGFzaA',
    '$2b$12$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuabcdefghijklmnopq',
    // A gigabyte, and half a minute: nobody should be able to wait for that.
    '$scrypt$ln=20,r=8,p=1$c29kaXVtY2hsb3JpZGU$z6Vy1sGzV0uY0p1lXo2lZq3WQn0pHcJr8gk4F2d5Yw8',
    '$scrypt$ln=17,r=8,p=99$c29kaXVtY2hsb3JpZGU$z6Vy1sGzV0uY0p1lXo2lZq3WQn0pHcJr8gk4F2d5Yw8',
    '$scrypt$ln=0,r=8,p=1$c29kaXVtY2hsb3JpZGU$z6Vy1sGzV0uY0p1lXo2lZq3WQn0pHcJr8gk4F2d5Yw8',
  ])('%j is none', (text) => {
    expect(parsePasswordHash(text)).toBeUndefined()
  })
})

describe('many who try at once', () => {
  it('take no more than one thread: files are read meanwhile', async () => {
    const { readFile } = await import('node:fs/promises')
    const left = new Set(Array.from({ length: 12 }, (_, i) => i))
    const tries = [...left].map((i) =>
      verifyPassword(Buffer.from('x'), RFC, never).then((right) => {
        left.delete(i)
        return right
      }),
    )
    await readFile(import.meta.filename)
    // All four threads in use would have had it wait for at least the first of them.
    expect(left.size).toBeGreaterThanOrEqual(11)
    expect(await Promise.all(tries)).toEqual(tries.map(() => false))
  })
})
