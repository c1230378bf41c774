/**
 * PerSourcePenalties of sshd_config(5), as OpenSSH 9.8's srclimit.c keeps them: time is added up for each source, and
 * it is refused once there is more than `min` of it. The table is bounded, IPv4 and IPv6 each for themselves.
 */
import { type Address, addressText, type Block, contains, masked } from '../net/address.ts'
import { ExpiryQueue } from './expiry-queue.ts'

/** What a source did, by sshd's names. */
export type Misdeed = 'crash' | 'authfail' | 'noauth' | 'grace-exceeded' | 'refuseconnection'

export interface PenaltySettings {
  readonly enabled: boolean
  /** Milliseconds each; 0: none for that. */
  readonly penalties: Readonly<Record<Misdeed, number>>
  readonly max: number
  readonly min: number
  readonly maxSources4: number
  readonly maxSources6: number
  readonly overflow4: 'permissive' | 'deny-all'
  readonly overflow6: 'permissive' | 'deny-all'
}

export interface PenaltyLimits {
  readonly perSourcePenalties: PenaltySettings
  readonly perSourceNetBlockSize: NetBlockSize
  readonly perSourcePenaltyExemptList: readonly Block[]
}

/** A penalty was given, or grew. */
export interface Penalty {
  /** "192.0.2.0/24" */
  readonly source: string
  readonly misdeed: Misdeed
  /** The whole penalty of the source, from now on. */
  readonly milliseconds: number
  /** The penalty keeps the source out. */
  readonly active: boolean
}

interface Entry {
  expiry: number
  active: boolean
  misdeed: Misdeed
}

export class Penalties {
  readonly #limits: () => PenaltyLimits
  /** Monotonic milliseconds. */
  readonly #now: () => number
  readonly #tables = { 4: new ExpiryQueue<Entry>(), 6: new ExpiryQueue<Entry>() }

  constructor(limits: () => PenaltyLimits, now: () => number = () => performance.now()) {
    this.#limits = limits
    this.#now = now
  }

  /** Sources that are kept, for tests and figures. */
  get size(): number {
    return this.#tables[4].size + this.#tables[6].size
  }

  /** Why a new connection from there is refused. */
  refusal(address: Address): string | undefined {
    const limits = this.#limits()
    if (!this.#concerned(address, limits)) return undefined
    const { table, maximum, overflow } = this.#table(address, limits.perSourcePenalties)
    if (table.size >= maximum && overflow === 'deny-all') return 'too many penalised addresses'
    const entry = table.get(source(address, limits.perSourceNetBlockSize))
    return entry?.active ? `penalty: ${entry.misdeed}` : undefined
  }

  /** Undefined: there is none for that, or not for this source. */
  add(address: Address, misdeed: Misdeed): Penalty | undefined {
    const limits = this.#limits()
    const settings = limits.perSourcePenalties
    const time = settings.penalties[misdeed]
    if (time <= 0 || !this.#concerned(address, limits)) return undefined
    const now = this.#now()
    const { table, maximum, overflow } = this.#table(address, settings)
    if (table.size >= maximum && overflow === 'deny-all') return undefined
    const key = source(address, limits.perSourceNetBlockSize)
    const before = table.get(key)
    // The maximum is for what was added up; a single penalty may be longer (srclimit.c).
    const expiry = before ? Math.min(before.expiry + time, now + settings.max) : now + time
    const active = before?.active === true || expiry - now > settings.min
    table.set(key, { expiry, active, misdeed })
    while (table.size > maximum) table.shift()
    return { source: key, misdeed, milliseconds: Math.round(expiry - now), active }
  }

  #concerned(address: Address, limits: PenaltyLimits): boolean {
    return limits.perSourcePenalties.enabled && !contains(limits.perSourcePenaltyExemptList, address)
  }

  #table({ family }: Address, settings: PenaltySettings) {
    const table = this.#tables[family]
    table.expire(this.#now())
    return family === 4
      ? { table, maximum: settings.maxSources4, overflow: settings.overflow4 }
      : { table, maximum: settings.maxSources6, overflow: settings.overflow6 }
  }
}

/** PerSourceNetBlockSize: how many bits of an address are one source. */
export interface NetBlockSize {
  readonly ipv4: number
  readonly ipv6: number
}

/** PerSourceNetBlockSize: the addresses that count as one source. */
export function source(address: Address, size: NetBlockSize): string {
  const bits = address.family === 4 ? size.ipv4 : size.ipv6
  return `${addressText(masked(address, bits))}/${bits}`
}
