/** A map whose entries leave in the order they expire: a binary heap that knows where each key is. */

interface Expiring {
  readonly expiry: number
}

export class ExpiryQueue<T extends Expiring> {
  readonly #heap: { readonly key: string; entry: T }[] = []
  readonly #place = new Map<string, number>()

  get size(): number {
    return this.#heap.length
  }

  get(key: string): T | undefined {
    const at = this.#place.get(key)
    return at === undefined ? undefined : this.#heap[at]?.entry
  }

  set(key: string, entry: T): void {
    const at = this.#place.get(key) ?? this.#heap.length
    this.#put(at, { key, entry })
    this.#settle(at)
  }

  /** Take out what expires first. */
  shift(): void {
    const first = this.#heap[0]
    const last = this.#heap.pop()
    if (!first || !last) return
    this.#place.delete(first.key)
    if (this.#heap.length === 0) return
    this.#put(0, last)
    this.#settle(0)
  }

  /** Take out all that expired before `now`. */
  expire(now: number): void {
    while (this.#expiry(0) < now) this.shift()
  }

  #settle(start: number): void {
    let at = start
    for (let up = (at - 1) >> 1; at > 0 && this.#expiry(at) < this.#expiry(up); up = (at - 1) >> 1) {
      this.#swap(at, up)
      at = up
    }
    for (;;) {
      const [left, right] = [2 * at + 1, 2 * at + 2]
      const down = this.#expiry(right) < this.#expiry(left) ? right : left
      if (this.#expiry(at) <= this.#expiry(down)) return
      this.#swap(at, down)
      at = down
    }
  }

  #expiry(at: number): number {
    return this.#heap[at]?.entry.expiry ?? Number.POSITIVE_INFINITY
  }

  #swap(a: number, b: number): void {
    const [one, other] = [this.#heap[a], this.#heap[b]]
    if (!one || !other) return
    this.#put(a, other)
    this.#put(b, one)
  }

  #put(at: number, item: { readonly key: string; entry: T }): void {
    this.#heap[at] = item
    this.#place.set(item.key, at)
  }
}
