/**
 * The wire format of protocol buffers, as far as containerd's few messages need it: numbers, text, bytes, messages in
 * messages, repeated fields. A field is known by its number; what a message does not have is its type's zero.
 */

export type FieldValue = string | number | boolean | Uint8Array | readonly (string | Uint8Array)[] | undefined

/** Of a field's key, the lowest three bits. */
const VARINT = 0
const FIXED64 = 1
const LENGTH = 2
const FIXED32 = 5

/** @param fields by number; a field that is zero, empty or undefined is left out, as proto3 does */
export function encodeMessage(fields: Readonly<Record<number, FieldValue>>): Buffer {
  const parts: Uint8Array[] = []
  for (const [key, value] of Object.entries(fields)) {
    const number = Number(key)
    for (const one of Array.isArray(value) ? value : [value]) {
      if (typeof one === 'number' || typeof one === 'boolean') {
        if (Number(one) !== 0) parts.push(varint(number * 8 + VARINT), varint(Number(one)))
      } else if (one !== undefined && (one.length > 0 || Array.isArray(value))) {
        const bytes = typeof one === 'string' ? Buffer.from(one) : one
        parts.push(varint(number * 8 + LENGTH), varint(bytes.length), bytes)
      }
    }
  }
  return Buffer.concat(parts)
}

/** Of a whole number that is not negative. */
function varint(value: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is no number of this format`)
  const bytes: number[] = []
  let rest = value
  while (rest >= 128) {
    bytes.push((rest % 128) + 128)
    rest = Math.floor(rest / 128)
  }
  return Uint8Array.from([...bytes, rest])
}

export interface DecodedMessage {
  /** The last of its values, as proto3 says; "" where it is not there. */
  text(field: number): string
  /** 0 where it is not there. */
  number(field: number): number
  /** A message in the message; an empty one where it is not there. */
  message(field: number): DecodedMessage
  bytes(field: number): Buffer
  /** A repeated message. */
  messages(field: number): DecodedMessage[]
  /** map<string, string>. */
  map(field: number): Record<string, string>
}

/** @throws RangeError where it is no message */
export function decodeMessage(bytes: Buffer): DecodedMessage {
  const fields = new Map<number, (bigint | Buffer)[]>()
  let at = 0

  function readVarint(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++]
      if (byte === undefined) throw new RangeError('the message is cut off')
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return value
    }
    throw new RangeError('a number is too long')
  }

  function readBytes(length: number): Buffer {
    if (length > bytes.length - at) throw new RangeError('the message is cut off')
    at += length
    return bytes.subarray(at - length, at)
  }

  while (at < bytes.length) {
    const key = Number(readVarint())
    const [number, type] = [Math.floor(key / 8), key % 8]
    if (number === 0) throw new RangeError('a field has no number')
    const values = fields.get(number) ?? []
    fields.set(number, values)
    if (type === VARINT) values.push(readVarint())
    else if (type === LENGTH) values.push(readBytes(Number(readVarint())))
    else if (type === FIXED64) readBytes(8)
    else if (type === FIXED32) readBytes(4)
    else throw new RangeError(`a field has type ${type}, which is none`)
  }

  const last = (field: number) => fields.get(field)?.at(-1)
  const lastBytes = (field: number) => {
    const value = last(field)
    return Buffer.isBuffer(value) ? value : Buffer.alloc(0)
  }
  const messages = (field: number) => (fields.get(field) ?? []).filter(Buffer.isBuffer).map(decodeMessage)
  return {
    text: (field) => lastBytes(field).toString('utf8'),
    number(field) {
      const value = last(field)
      return typeof value === 'bigint' ? Number(BigInt.asIntN(64, value)) : 0
    },
    message: (field) => decodeMessage(lastBytes(field)),
    bytes: lastBytes,
    messages,
    map: (field) => Object.fromEntries(messages(field).map((entry) => [entry.text(1), entry.text(2)])),
  }
}
