/** Time of the one thread that serves everybody: so much of it is free, then a share of what passes. */
export class ComputingShare {
  readonly #share: number
  readonly #freeMs: number
  #spentMs = 0
  #at = 0

  constructor(share: number, freeMs: number) {
    this.#share = share
    this.#freeMs = freeMs
  }

  /**
   * @param costMs what was computed; a machine that stood still meanwhile counts a little
   * @param now performance.now(), or any such
   * @returns milliseconds until there is some left again; 0: there is
   */
  spend(costMs: number, now: number): number {
    const regained = (now - this.#at) * this.#share
    this.#spentMs = Math.max(0, this.#spentMs - regained) + Math.min(costMs, this.#freeMs)
    this.#at = now
    return Math.max(0, this.#spentMs - this.#freeMs) / this.#share
  }
}
