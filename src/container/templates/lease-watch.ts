/**
 * Does a gateway on another machine live? Nothing but the engine is common to both, and their clocks may differ. So its lease is
 * a mark whose name changes while the gateway lives, and who watches counts looks of its own at which the name was the same.
 */
import { randomBytes } from 'node:crypto'

/** Renewed more often than it is looked at. */
export const RENEW_EVERY_MS = 45_000
export const LOOK_EVERY_MS = 60_000
/** One after the other, without one that failed: an engine that was away kept the lease from being renewed. */
const LOOKS = 5

const NAME = /^hatchway-lease-([0-9a-f]{32})-[0-9a-f]{8}$/

export function newLeaseName(instance: string): string {
  return `hatchway-lease-${instance}-${randomBytes(4).toString('hex')}`
}

/** The instance whose lease this mark is. */
export function leaseHolder(mark: string): string | undefined {
  return NAME.exec(mark)?.[1]
}

export interface LeaseReport {
  /** Those that do not renew their leases any more. */
  readonly ended: ReadonlySet<string>
  /** One may have ended: look again soon. */
  readonly doubtful: boolean
}

export class LeaseWatch {
  #seen: ReadonlyMap<string, { readonly marks: string; readonly unchanged: number }> = new Map()

  /**
   * @param instances those that must have a lease if they live
   * @param marks all that are on the engine
   */
  look(instances: Iterable<string>, marks: readonly string[]): LeaseReport {
    const now = new Map<string, string[]>()
    for (const instance of instances) now.set(instance, [])
    for (const mark of marks) {
      const holder = leaseHolder(mark)
      if (holder === undefined) continue
      const its = now.get(holder)
      if (its) its.push(mark)
      else now.set(holder, [mark])
    }
    const seen = new Map<string, { marks: string; unchanged: number }>()
    const ended = new Set<string>()
    let doubtful = false
    for (const [instance, its] of now) {
      const marks = its.sort().join(' ')
      const before = this.#seen.get(instance)
      const unchanged = before?.marks === marks ? before.unchanged + 1 : 0
      seen.set(instance, { marks, unchanged })
      if (unchanged >= LOOKS) ended.add(instance)
      else if (unchanged > 0 || !before) doubtful = true
    }
    this.#seen = seen
    return { ended, doubtful }
  }

  /** A look failed: what was counted says nothing any more. */
  forget(): void {
    this.#seen = new Map()
  }
}
