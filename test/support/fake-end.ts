/** An end of a forwarded connection that does as the test says, and keeps what was done to it. */
import type { End, Heard } from '../../src/bytes/relay.ts'

export class FakeEnd implements End {
  /** What was done to it, in order. */
  readonly done: string[] = []
  /** The answer of `write`. */
  takes = true
  unsent?: number
  #heard: Heard | undefined

  get heard(): Heard {
    if (!this.#heard) throw new Error('nobody listens')
    return this.#heard
  }

  listen(heard: Heard): void {
    this.#heard = heard
  }

  write(bytes: Buffer): boolean {
    this.done.push(`write ${bytes}`)
    return this.takes
  }

  end(): void {
    this.done.push('end')
  }

  resume(): void {
    this.done.push('resume')
  }

  destroy(): void {
    this.done.push('destroy')
  }

  whenClosed(): void {}
}
