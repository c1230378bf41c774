/** Who may use the page: a token that is told once and taken once becomes a key, which the page keeps in its memory. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

/** For a person to go from the terminal to the browser. */
const TOKEN_MS = 5 * 60_000
/** Of each; the oldest makes room. */
const MAX_HELD = 16
const SECRET_BYTES = 32

export interface Held {
  /** Whose it is: said in the audit trail. */
  readonly name: string
  /** Milliseconds since the epoch. */
  readonly endsAt: number
}

export interface AdminTokens {
  /** To be told once. */
  issue(name: string): Held & { readonly secret: string }
  /** The token is used up. Undefined: it is none, was used or is too old. */
  exchange(token: string): (Held & { readonly secret: string }) | undefined
  /** Undefined: it is no key, or one that has ended. */
  holder(key: string): Held | undefined
  forget(key: string): void
}

export function createAdminTokens(keyMs: number, now: () => number = Date.now): AdminTokens {
  const tokens = new Secrets(now)
  const keys = new Secrets(now)
  return {
    issue: (name) => tokens.add(name, TOKEN_MS),
    exchange(token) {
      const held = tokens.find(token)
      if (!held) return undefined
      tokens.remove(token)
      return keys.add(held.name, keyMs)
    },
    holder: (key) => keys.find(key),
    forget: (key) => keys.remove(key),
  }
}

/** Held as hashes, and all of them compared in constant time. */
class Secrets {
  readonly #now: () => number
  #entries: (Held & { readonly hash: Buffer })[] = []

  constructor(now: () => number) {
    this.#now = now
  }

  add(name: string, milliseconds: number) {
    const secret = randomBytes(SECRET_BYTES).toString('base64url')
    const held = { name, endsAt: this.#now() + milliseconds }
    this.#entries = [...this.#entries.slice(1 - MAX_HELD), { ...held, hash: hashOf(secret) }]
    return { ...held, secret }
  }

  find(secret: string): Held | undefined {
    const hash = hashOf(secret)
    const [found] = this.#entries.filter((entry) => timingSafeEqual(entry.hash, hash))
    return found && found.endsAt > this.#now() ? { name: found.name, endsAt: found.endsAt } : undefined
  }

  remove(secret: string): void {
    const hash = hashOf(secret)
    this.#entries = this.#entries.filter((entry) => !timingSafeEqual(entry.hash, hash))
  }
}

function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}
