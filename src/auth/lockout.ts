/**
 * Counts wrong codes of one user (RFC 4226 §7.3): six digits can be tried out, so after a few the user has to wait,
 * twice as long each time. Only the codes of a client that has the key or the password count.
 */
const FREE = 5
const FIRST_WAIT_MS = 30_000
const LONGEST_WAIT_MS = 900_000

export class Lockout {
  readonly #users = new Map<string, { failures: number; until: number }>()
  readonly #now: () => number

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** Returns true while even the right code is refused. */
  locked(user: string): boolean {
    return (this.#users.get(user)?.until ?? 0) > this.#now()
  }

  /** Returns the milliseconds to wait. Names are those of the configuration, so the table is bounded. */
  failed(user: string): number {
    const failures = (this.#users.get(user)?.failures ?? 0) + 1
    const wait = failures < FREE ? 0 : Math.min(FIRST_WAIT_MS * 2 ** (failures - FREE), LONGEST_WAIT_MS)
    this.#users.set(user, { failures, until: this.#now() + wait })
    return wait
  }

  succeeded(user: string): void {
    this.#users.delete(user)
  }
}
