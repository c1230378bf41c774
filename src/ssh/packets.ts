/** SSH packets as bytes: message numbers (RFC 4250 §4.1.2), a strict reader and a builder of small payloads. */

export const Message = {
  DISCONNECT: 1,
  IGNORE: 2,
  UNIMPLEMENTED: 3,
  DEBUG: 4,
  SERVICE_REQUEST: 5,
  SERVICE_ACCEPT: 6,
  EXT_INFO: 7,
  KEXINIT: 20,
  USERAUTH_REQUEST: 50,
  USERAUTH_FAILURE: 51,
  USERAUTH_SUCCESS: 52,
  USERAUTH_BANNER: 53,
  /** RFC 4252 §7; the same number means other things in other methods. */
  USERAUTH_PK_OK: 60,
  /** RFC 4256 §5. */
  USERAUTH_INFO_REQUEST: 60,
  USERAUTH_INFO_RESPONSE: 61,
  GLOBAL_REQUEST: 80,
  REQUEST_SUCCESS: 81,
  REQUEST_FAILURE: 82,
  CHANNEL_OPEN: 90,
  CHANNEL_OPEN_CONFIRMATION: 91,
  CHANNEL_OPEN_FAILURE: 92,
  CHANNEL_WINDOW_ADJUST: 93,
  CHANNEL_DATA: 94,
  CHANNEL_EXTENDED_DATA: 95,
  CHANNEL_EOF: 96,
  CHANNEL_CLOSE: 97,
  CHANNEL_REQUEST: 98,
  CHANNEL_SUCCESS: 99,
  CHANNEL_FAILURE: 100,
  /** PROTOCOL §1.8 ping@openssh.com. */
  PING: 192,
  PONG: 193,
} as const

/** RFC 4253 §11.1. */
export const DisconnectReason = {
  PROTOCOL_ERROR: 2,
  SERVICE_NOT_AVAILABLE: 7,
  BY_APPLICATION: 11,
  TOO_MANY_CONNECTIONS: 12,
} as const

/** A packet whose fields do not fit in it: the peer is broken or hostile, the connection ends. */
export class MalformedPacket extends Error {}

/** Code of ours is wrong: for a packet that is, it throws MalformedPacket. */
export function isBug(error: unknown): boolean {
  return error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError
}

export class PacketReader {
  readonly #bytes: Buffer
  #at: number

  constructor(bytes: Buffer, at = 0) {
    this.#bytes = bytes
    this.#at = at
  }

  get offset(): number {
    return this.#at
  }

  /** Of the whole packet, which lives as long as its reader. */
  get size(): number {
    return this.#bytes.length
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  byte(): number {
    return this.#bytes.readUInt8(this.#take(1))
  }

  bool(): boolean {
    return this.byte() !== 0
  }

  u32(): number {
    return this.#bytes.readUInt32BE(this.#take(4))
  }

  u64(): bigint {
    return this.#bytes.readBigUInt64BE(this.#take(8))
  }

  /** A view: it dies with the packet. */
  string(): Buffer {
    const length = this.u32()
    const start = this.#take(length)
    return this.#bytes.subarray(start, start + length)
  }

  text(): string {
    return this.string().toString('utf8')
  }

  rest(): Buffer {
    return this.#bytes.subarray(this.#take(this.left))
  }

  /** Nothing may follow. */
  end(): void {
    if (this.left > 0) throw new MalformedPacket('packet too long')
  }

  #take(count: number): number {
    const start = this.#at
    if (count > this.#bytes.length - start) throw new MalformedPacket('packet too short')
    this.#at = start + count
    return start
  }
}

/** number: uint32, boolean: one byte, text and bytes: an SSH string, { raw }: bytes as they are. */
export type Field = number | boolean | string | Buffer | { readonly raw: Buffer }

export function fields(...parts: readonly Field[]): Buffer {
  return build(0, parts)
}

export function packet(type: number, ...parts: readonly Field[]): Buffer {
  const bytes = build(1, parts)
  bytes[0] = type
  return bytes
}

/** Fields behind `start` bytes that are the caller's to fill. One buffer each: a login and a forward build many. */
function build(start: number, parts: readonly Field[]): Buffer {
  let length = start
  for (const part of parts) length += sizeOf(part)
  const bytes = Buffer.allocUnsafe(length)
  let at = start
  for (const part of parts) at = put(bytes, at, part)
  return bytes
}

function sizeOf(part: Field): number {
  if (typeof part === 'number') return 4
  if (typeof part === 'boolean') return 1
  if (typeof part === 'string') return 4 + Buffer.byteLength(part)
  return Buffer.isBuffer(part) ? 4 + part.length : part.raw.length
}

/** Returns where the next field goes. */
function put(bytes: Buffer, at: number, part: Field): number {
  if (typeof part === 'number') return bytes.writeUInt32BE(part >>> 0, at)
  if (typeof part === 'boolean') return bytes.writeUInt8(part ? 1 : 0, at)
  if (typeof part === 'string') {
    const length = bytes.write(part, at + 4)
    return bytes.writeUInt32BE(length, at) + length
  }
  if (!Buffer.isBuffer(part)) return at + part.raw.copy(bytes, at)
  return bytes.writeUInt32BE(part.length, at) + part.copy(bytes, at + 4)
}
