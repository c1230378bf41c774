/**
 * What clients make us keep: bytes that wait for somebody to read them, and the windows that permit more of them. All
 * connections of one identity share a budget, for the number of connections is theirs to choose.
 *
 * How much: fifty uploads at once with full windows (100 MB) and fifty downloads that their client reads slowly (a helper's
 * 2 MB each, at the worst moment) fit in it; and a machine with 1 GB survives a hostile user.
 */
export const MAX_BYTES = 256 * 1024 * 1024

/** Of one identity. */
export interface Budget {
  /** False: there is not that much left. */
  take(bytes: number): boolean
  /** The same for what only makes something faster: a quarter is kept for what cannot do without. */
  spare(bytes: number): boolean
  give(bytes: number): void
}

interface Account extends Budget {
  connections: number
  used: number
  /** The identity's next connection opens a new account. */
  isClosed: boolean
}

export class Budgets {
  readonly #max: number
  readonly #accounts = new Map<string, Account>()

  constructor(max = MAX_BYTES) {
    this.#max = max
  }

  /** Identities of which anything is kept. */
  get size(): number {
    return this.#accounts.size
  }

  /**
   * One more connection of an identity. It may give back what it took after it has left. Once the identity has no
   * connection and all is given back, the budget takes no more.
   */
  enter(identity: string): { readonly budget: Budget; leave(): void } {
    const account = this.#accounts.get(identity) ?? this.#open(identity)
    account.connections++
    return {
      budget: account,
      leave: () => {
        account.connections--
        this.#tidy(identity, account)
      },
    }
  }

  #open(identity: string): Account {
    const take = (bytes: number, max: number) => {
      if (account.used + bytes > (account.isClosed ? 0 : max)) return false
      account.used += bytes
      return true
    }
    const account: Account = {
      connections: 0,
      used: 0,
      isClosed: false,
      take: (bytes) => take(bytes, this.#max),
      spare: (bytes) => take(bytes, this.#max * 0.75),
      give: (bytes) => {
        account.used -= bytes
        if (account.used === 0) this.#tidy(identity, account)
      },
    }
    this.#accounts.set(identity, account)
    return account
  }

  #tidy(identity: string, account: Account): void {
    if (account.isClosed || account.connections > 0 || account.used !== 0) return
    account.isClosed = true
    this.#accounts.delete(identity)
  }
}
