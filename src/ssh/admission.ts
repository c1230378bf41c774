/** Which connections may begin: what sshd.c's drop_connection() asks of a new connection before it says a word of SSH. */
import { Counts } from '../base/counts.ts'
import { type Address, contains, parseAddress } from '../net/address.ts'
import type { Endpoint } from './connection.ts'
import { type SshLimits, shouldDrop } from './limits.ts'
import { type Misdeed, Penalties, type Penalty, source } from './penalties.ts'

export type DropReason = 'max-startups' | 'per-source-max-startups' | 'penalty' | 'refuse-connection' | 'descriptors'

export interface Drop {
  readonly reason: DropReason
  /** For the log. */
  readonly detail?: string
  /** What the client reads; OpenSSH's shows it with -v. */
  readonly text: string
}

const NOT_NOW = 'Not allowed at this time\r\n'
/** What sshd said until 9.7; a client that knows the limit's name knows what to do. */
const TOO_MANY = 'Exceeded MaxStartups\r\n'

/** A connection's place among those that have not logged in. */
export interface AdmissionPlace {
  /** When the connection came, as Date.now(). */
  readonly since: number
  /** Tells the connection's address once it is known; may drop the connection. */
  identify(remote: Endpoint): Drop | undefined
  /** The client has logged in; the connection is not counted any more. */
  loggedIn(): void
  /** The connection is over; idempotent. A misdeed counts only before the login. */
  left(misdeed?: Misdeed): void
}

export class Admission {
  readonly #limits: () => SshLimits
  readonly #penalised: (penalty: Penalty) => void
  readonly #penalties: Penalties
  readonly #perSource = new Counts()
  #startups = 0

  constructor(limits: () => SshLimits, penalised: (penalty: Penalty) => void, now?: () => number) {
    this.#limits = limits
    this.#penalised = penalised
    this.#penalties = new Penalties(limits, now)
  }

  /** Without `remote`: it is not known yet, `identify` follows. Dropped connections have no place. */
  enter(remote: Endpoint | undefined): AdmissionPlace | Drop {
    const early = remote && this.#refused(parseAddress(remote.address))
    if (early) return early
    if (shouldDrop(this.#startups, this.#limits().maxStartups)) return { reason: 'max-startups', text: TOO_MANY }
    const place = this.#place()
    const drop = remote && place.identify(remote)
    if (!drop) return place
    place.left()
    return drop
  }

  #place(): AdmissionPlace {
    let address: Address | undefined
    let leave: (() => void) | undefined
    let counted = true
    this.#startups++
    const uncount = () => {
      if (!counted) return
      counted = false
      this.#startups--
      leave?.()
    }
    return {
      since: Date.now(),
      identify: (remote) => {
        address = parseAddress(remote.address)
        const drop = this.#refused(address)
        if (drop || !address) return drop
        const { perSourceNetBlockSize, perSourceMaxStartups } = this.#limits()
        leave = this.#perSource.take(source(address, perSourceNetBlockSize), perSourceMaxStartups)
        return leave ? undefined : { reason: 'per-source-max-startups', text: TOO_MANY }
      },
      loggedIn: uncount,
      left: (misdeed) => {
        if (counted && misdeed && address) this.#penalise(address, misdeed)
        uncount()
      },
    }
  }

  #refused(address: Address | undefined): Drop | undefined {
    if (!address) return undefined
    const penalty = this.#penalties.refusal(address)
    if (penalty) return { reason: 'penalty', detail: penalty, text: NOT_NOW }
    if (!contains(this.#limits().refuseConnection, address)) return undefined
    this.#penalise(address, 'refuseconnection')
    return { reason: 'refuse-connection', text: NOT_NOW }
  }

  #penalise(address: Address, misdeed: Misdeed): void {
    const penalty = this.#penalties.add(address, misdeed)
    if (penalty) this.#penalised(penalty)
  }
}
