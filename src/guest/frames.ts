/** Frames of docs/guest-protocol.md: their types and bounds, and the small ones that the gateway writes. */

export const MAX_PAYLOAD = 65536
export const HEADER = 8
/** A channel's credit never exceeds it, in either direction. */
export const MAX_CREDIT = 2 * 1024 * 1024
export const PROTOCOL_VERSION = 1

export const FRAME_TYPE = {
  HELLO: 1,
  INIT: 2,
  PING: 3,
  PONG: 4,
  SHUTDOWN: 5,
  SWITCH: 6,
  SWITCHED: 7,
  PART: 10,
  SPAWN: 11,
  CONNECT: 12,
  LISTEN: 13,
  SFTP: 14,
  OPENED: 15,
  FAIL: 16,
  ACCEPT: 17,
  DATA: 20,
  DATA2: 21,
  EOF: 22,
  EOF2: 23,
  WINDOW: 24,
  RESIZE: 25,
  SIGNAL: 26,
  CLOSE: 27,
  EXIT: 28,
  CLOSED: 29,
  UNREAD: 30,
} as const

/** Channels from this number on are the helper's to give (ACCEPT), those below ours. */
export const HELPERS_ID = 0x80000000

export const STAGES = ['resources', 'pty', 'exec', 'resolve', 'connect', 'listen'] as const

/** The other end broke the protocol. Ends the helper; the message goes to the log, never to a user. */
export class ProtocolError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'ProtocolError'
  }
}

/** One frame of any type; `payload` is copied. */
export function frame(type: number, channel: number, payload?: Buffer): Buffer {
  const length = payload?.length ?? 0
  const bytes = Buffer.allocUnsafe(HEADER + length)
  writeHeader(bytes, type, channel, length)
  if (payload !== undefined) payload.copy(bytes, HEADER)
  return bytes
}

export function writeHeader(bytes: Buffer, type: number, channel: number, length: number): void {
  if (length > MAX_PAYLOAD) throw new RangeError(`a frame of ${length} bytes`)
  bytes.writeUInt32BE(length * 256 + type, 0)
  bytes.writeUInt32BE(channel, 4)
}

export function windowFrame(channel: number, bytes: number): Buffer {
  const out = Buffer.allocUnsafe(HEADER + 4)
  writeHeader(out, FRAME_TYPE.WINDOW, channel, 4)
  out.writeUInt32BE(bytes, HEADER)
  return out
}

export function pingFrame(opaque: bigint): Buffer {
  const out = Buffer.allocUnsafe(HEADER + 8)
  writeHeader(out, FRAME_TYPE.PING, 0, 8)
  out.writeBigUInt64BE(opaque, HEADER)
  return out
}
