/** Bytes and events of a session → lines of an asciicast v3. Bytes that are no UTF-8 are beside their text, exactly. */
import { isUtf8 } from 'node:buffer'
import type { WindowSize } from '../../base/program.ts'

export type ByteCode = 'o' | 'e' | 'i'

export type LineCode = 'r' | 'x' | 'm' | 'g'

export interface CastHead {
  readonly startedAt: number
  readonly title: string
  readonly command?: string | undefined
  /** Absent: it has no terminal. */
  readonly terminal?: WindowSize & { readonly type: string }
}

export interface CastEncoder {
  /** @param at milliseconds since the beginning, never less than before */
  bytes(at: number, code: ByteCode, chunk: Buffer): string
  line(at: number, code: LineCode, data: string): string
  /** What is left of characters that have not come whole; of those only that came before then. */
  rest(at: number, before?: number): string
  /** Is anything left? */
  readonly isHolding: boolean
}

/** Of what has no terminal: as asciinema's default. */
const USUAL = { cols: 80, rows: 24 }

export function castHeader({ startedAt, title, command, terminal }: CastHead): string {
  const { cols, rows } = terminal ?? USUAL
  return `${JSON.stringify({
    version: 3,
    term: { cols, rows, ...(terminal && { type: terminal.type }) },
    timestamp: Math.floor(startedAt / 1000),
    title,
    ...(command !== undefined && { command }),
  })}\n`
}

interface Tail {
  readonly bytes: Buffer
  readonly since: number
}

/** @param hasTerminal the text of bad bytes is shown; binary output of a command is only kept */
export function createCastEncoder(hasTerminal: boolean): CastEncoder {
  /** The first bytes of a character whose others have not come. */
  const tails = new Map<ByteCode, Tail>()
  let last = 0

  function line(at: number, code: string, data: string): string {
    const micros = Math.max(0, Math.round(at * 1000) - last)
    last += micros
    return `[${seconds(micros)},"${code}",${JSON.stringify(data)}]\n`
  }

  function exact(at: number, code: ByteCode, bytes: Buffer): string {
    if (bytes.length === 0) return ''
    // Escaped, a NUL has six bytes: binary output is shorter in base64.
    const isText = isUtf8(bytes) && (hasTerminal || !bytes.includes(0))
    if (isText) return line(at, code, bytes.toString())
    const text = hasTerminal && code === 'o' ? bytes.toString() : ''
    return line(at, code, text) + line(at, 'b', bytes.toString('base64'))
  }

  return {
    bytes(at, code, chunk) {
      const tail = tails.get(code)
      const all = tail ? Buffer.concat([tail.bytes, chunk]) : chunk
      const whole = all.length - unfinished(all)
      tails.delete(code)
      if (whole < all.length) tails.set(code, { bytes: Buffer.from(all.subarray(whole)), since: at })
      return exact(at, code, all.subarray(0, whole))
    },
    line,
    get isHolding() {
      return tails.size > 0
    },
    rest(at, before = Number.POSITIVE_INFINITY) {
      let text = ''
      for (const [code, { bytes, since }] of tails) {
        if (since >= before) continue
        tails.delete(code)
        text += exact(at, code, bytes)
      }
      return text
    },
  }
}

/** To the microsecond, without the noise of binary fractions. */
function seconds(micros: number): string {
  return micros % 1_000_000 === 0 ? String(micros / 1_000_000) : (micros / 1_000_000).toFixed(6).replace(/0+$/, '')
}

/** How many bytes at the end may be the beginning of a character: none, one, two or three. */
function unfinished(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0
    if (byte < 0x80) return 0
    if (byte >= 0xc2) return back < (byte >= 0xf0 ? (byte < 0xf5 ? 4 : 0) : byte >= 0xe0 ? 3 : 2) ? back : 0
    if (byte >= 0xc0) return 0
  }
  return 0
}
