/**
 * Names and paths of a container are bytes; ours are strings. A byte that is no UTF-8 is a lone surrogate, U+DC80 to U+DCFF
 * (Python's "surrogateescape", PEP 383): such a string can be compared, cut and joined as any other, is shown as U+FFFD by
 * whoever knows nothing of this, and becomes the very bytes again in bytesOf().
 */
import { isUtf8 } from 'node:buffer'

const ESCAPED = 0xdc00
/** With the u flag a half of a pair is none of these. */
const ESCAPES = /([\udc80-\udcff])/u

export function textOf(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString()
  let text = ''
  let start = 0
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes[at] ?? 0)
    if (length === 1 || (length > 1 && at + length <= bytes.length && isUtf8(bytes.subarray(at, at + length)))) {
      at += length
      continue
    }
    text += bytes.toString('utf8', start, at) + String.fromCharCode(ESCAPED + (bytes[at] ?? 0))
    start = ++at
  }
  return text + bytes.toString('utf8', start)
}

export function bytesOf(text: string): Buffer {
  if (isUtf8Text(text)) return Buffer.from(text)
  const parts = text.split(ESCAPES)
  return Buffer.concat(
    parts.map((part, i) => (i % 2 === 0 ? Buffer.from(part) : Buffer.from([part.charCodeAt(0) - ESCAPED]))),
  )
}

/** Whether bytesOf() gives what Buffer.from() does: there is no byte in it that a text could not hold. */
export function isUtf8Text(text: string): boolean {
  return !ESCAPES.test(text)
}

/** By the first byte, RFC 3629 §3; 0: no sequence begins so. */
function sequenceLength(first: number): number {
  if (first < 0x80) return 1
  if (first < 0xc2 || first > 0xf4) return 0
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
}
