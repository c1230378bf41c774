/** Password hashes with scrypt: costly to guess, and one at a time, so that sessions stay fast meanwhile. */
import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { memoryOf, type PasswordHash } from '../config/secrets.ts'
import { createSemaphore } from '../lifetime/semaphore.ts'

const derive = promisify<Buffer, Buffer, number, ScryptOptions, Buffer>(scrypt)

/** OWASP's third choice: as strong as N=2^17, p=1, in a quarter of the memory (32 MiB); about 0.2 s. */
const COST = { ln: 15, r: 8, p: 3 }
const SALT_BYTES = 16
const HASH_BYTES = 32

/**
 * One at a time: each takes a whole core, 32 MiB and one of the four threads that also read files. Those of one source
 * (perSourceMaxStartups) can all wait: for half a minute.
 */
const hashing = createSemaphore({ atOnce: 1, waiting: 128 })

export function passwordsWaiting(): number {
  return hashing.waiting
}

export async function hashPassword(password: Buffer): Promise<string> {
  const salt = randomBytes(SALT_BYTES)
  const hash = await compute(password, { ...COST, salt, hash: Buffer.alloc(HASH_BYTES) })
  const base64 = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')
  return `$scrypt$ln=${COST.ln},r=${COST.r},p=${COST.p}$${base64(salt)}$${base64(hash)}`
}

/** For users without a hash: checking it takes as long as `like`, and no password matches it. */
export function nobodysHash(like: PasswordHash | undefined): PasswordHash {
  const { ln, r, p } = like ?? COST
  return { ln, r, p, salt: randomBytes(SALT_BYTES), hash: randomBytes(HASH_BYTES) }
}

/** @throws if the signal aborts, or too many wait */
export async function verifyPassword(password: Buffer, expected: PasswordHash, signal: AbortSignal): Promise<boolean> {
  const leave = await hashing.enter(signal)
  try {
    return timingSafeEqual(await compute(password, expected), expected.hash)
  } finally {
    leave()
  }
}

function compute(password: Buffer, { ln, r, p, salt, hash }: PasswordHash): Promise<Buffer> {
  // OpenSSL counts its own buffers into maxmem.
  const maxmem = memoryOf({ ln, r }) + 128 * r * p + 1024 * 1024
  return derive(password, salt, hash.length, { N: 2 ** ln, r, p, maxmem })
}
