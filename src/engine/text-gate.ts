/**
 * Engines report a program that they cannot start as text on the program's own output. A chunk that begins like such a
 * text is held until more output, a limit, or the exit code tells whose words it is. Everything else passes untouched.
 */
export interface TextGate {
  write(chunk: Buffer): boolean
  /** The stream ended: what is held stays held until `take` or `release`. */
  freeze(): void
  /** What is held, as text; undefined when nothing is. */
  held(): string | undefined
  /** It was the program's own output after all. */
  release(): void
  /** It was not: forget it. */
  drop(): void
}

const MAX_HELD_BYTES = 4096
const PATIENCE_MS = 1000

/** `repeat`: look at every chunk (a CLI may fail at any time), not just at the first. */
export function createTextGate(
  forward: (chunk: Buffer) => boolean,
  texts: readonly string[],
  repeat = false,
): TextGate {
  const beginnings = texts.map((text) => Buffer.from(text))
  const firstBytes = new Set(beginnings.map((text) => text[0]))
  let open = false
  let passed = false
  let kept: Buffer | undefined
  let timer: NodeJS.Timeout | undefined

  const release = () => {
    clearTimeout(timer)
    timer = undefined
    const chunk = kept
    kept = undefined
    open = !repeat
    return chunk === undefined ? true : pass(chunk)
  }

  function pass(chunk: Buffer): boolean {
    passed = true
    return forward(chunk)
  }

  /**
   * A beginning of such a text, in pieces maybe. Once other output has passed it must be whole: a CLI writes its words at
   * once, and the echo of a key that is typed must not wait for the next one.
   */
  function mayBeWords(all: Buffer): boolean {
    const whole = passed && kept === undefined
    return beginnings.some((text) => (!whole || all.length >= text.length) && agree(text, all))
  }

  return {
    write(chunk) {
      if (open || (kept === undefined && !firstBytes.has(chunk[0]))) {
        open = !repeat
        return pass(chunk)
      }
      const all = kept === undefined ? chunk : Buffer.concat([kept, chunk])
      if (all.length > MAX_HELD_BYTES || !mayBeWords(all)) {
        release()
        return pass(chunk)
      }
      kept = Buffer.from(all)
      timer ??= setTimeout(release, PATIENCE_MS)
      return true
    },
    freeze: () => clearTimeout(timer),
    held: () => kept?.toString('utf8'),
    release,
    drop() {
      kept = undefined
    },
  }
}

/** Equal as far as both reach: a text may come in pieces. */
function agree(text: Buffer, data: Buffer): boolean {
  const length = Math.min(text.length, data.length)
  return text.compare(data, 0, length, 0, length) === 0
}
