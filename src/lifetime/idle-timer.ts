/** Fires once, after a time without touch(). A touch reads the clock and sets no timer. */
export class IdleTimer {
  readonly #milliseconds: number
  readonly #expired: () => void
  #last = performance.now()
  #timer: NodeJS.Timeout

  constructor(milliseconds: number, expired: () => void) {
    this.#milliseconds = milliseconds
    this.#expired = expired
    this.#timer = this.#wait(milliseconds)
  }

  touch(): void {
    this.#last = performance.now()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #wait(milliseconds: number): NodeJS.Timeout {
    return setTimeout(() => {
      const left = this.#last + this.#milliseconds - performance.now()
      // A timer may fire a fraction of a millisecond early.
      if (left < 1) this.#expired()
      else this.#timer = this.#wait(left)
    }, milliseconds).unref()
  }
}
