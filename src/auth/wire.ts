/** RFC 4251 §5 strings, of which keys are made. */

export function wireString(bytes: Buffer | string): Buffer {
  const body = typeof bytes === 'string' ? Buffer.from(bytes) : bytes
  const length = Buffer.alloc(4)
  length.writeUInt32BE(body.length)
  return Buffer.concat([length, body])
}

/** Encodes unsigned big-endian bytes as an mpint: no leading zeros but the one that keeps it positive. */
export function wireMpint(bytes: Buffer): Buffer {
  let start = 0
  while (start < bytes.length && bytes[start] === 0) start++
  const body = bytes.subarray(start)
  const positive = ((body[0] ?? 0) & 0x80) === 0
  return wireString(positive ? body : Buffer.concat([Buffer.of(0), body]))
}

/** Returns the strings of a blob; undefined if it is anything but a row of strings. */
export function readStrings(blob: Buffer): Buffer[] | undefined {
  const fields: Buffer[] = []
  let at = 0
  while (at < blob.length) {
    if (blob.length - at < 4) return undefined
    const length = blob.readUInt32BE(at)
    at += 4
    if (length > blob.length - at) return undefined
    fields.push(blob.subarray(at, at + length))
    at += length
  }
  return fields
}
