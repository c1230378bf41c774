/** A helper's stderr, as lines of our log: few, short, printable. It is the container's text, not ours. */
import { printable } from '../base/printable.ts'
import type { GuestLog } from './log.ts'

const MAX_LINES = 20
const MAX_LINE_BYTES = 256

export class StderrLog {
  readonly #log: GuestLog
  #lines = 0
  #line = ''
  #first = ''

  constructor(log: GuestLog) {
    this.#log = log
  }

  /** The first line that was said, for the reason of a failed delivery. */
  get text(): string {
    return this.#first || printable(this.#line)
  }

  write(chunk: Buffer): void {
    if (this.#lines >= MAX_LINES) return
    for (const char of chunk.toString('latin1', 0, 4096)) {
      if (char === '\n') this.#end()
      else if (this.#line.length < MAX_LINE_BYTES) this.#line += char
    }
  }

  #end(): void {
    if (this.#line !== '' && this.#lines < MAX_LINES) {
      this.#lines += 1
      const line = printable(this.#line)
      this.#first ||= line
      this.#log.warn({ line }, 'guest helper said')
    }
    this.#line = ''
  }
}
