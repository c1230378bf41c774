/** A map that holds at most `max` entries: the one that was set longest ago makes room. */
export class BoundedMap<K, V> {
  readonly #max: number
  readonly #entries = new Map<K, V>()
  readonly #evicted: ((key: K, value: V) => void) | undefined

  /** `evicted` is called for an entry that had to make room, not for one that was deleted. */
  constructor(max: number, evicted?: (key: K, value: V) => void) {
    this.#max = max
    this.#evicted = evicted
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: K): V | undefined {
    return this.#entries.get(key)
  }

  has(key: K): boolean {
    return this.#entries.has(key)
  }

  /** The entry becomes the newest one. */
  set(key: K, value: V): void {
    this.#entries.delete(key)
    this.#entries.set(key, value)
    if (this.#entries.size <= this.#max) return
    const oldest = this.#entries.entries().next().value
    if (oldest === undefined) return
    this.#entries.delete(oldest[0])
    this.#evicted?.(...oldest)
  }

  delete(key: K): boolean {
    return this.#entries.delete(key)
  }

  clear(): void {
    this.#entries.clear()
  }

  /** Oldest first. */
  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.#entries.entries()
  }
}
