/** How many of something each name has. Only names that have some are kept. */
export class Counts {
  readonly #counts = new Map<string, number>()

  /** How to give it back (idempotent); undefined: there are `max` already. 0 is no limit. */
  take(name: string, max: number): (() => void) | undefined {
    const count = this.#counts.get(name) ?? 0
    if (max > 0 && count >= max) return undefined
    this.#counts.set(name, count + 1)
    let taken = true
    return () => {
      if (!taken) return
      taken = false
      const left = (this.#counts.get(name) ?? 1) - 1
      if (left > 0) this.#counts.set(name, left)
      else this.#counts.delete(name)
    }
  }
}
