/**
 * docs/guest-protocol.md in numbers, and the small frames that the gateway writes. guest/wire.h has the same numbers for
 * the helper; test/guest/protocol-numbers.test.ts compares the three.
 */

export const PROTOCOL_VERSION = 1
export const HEADER = 8
export const MAX_PAYLOAD = 65536
/** Of a request with its PARTs. */
export const MAX_REQUEST_BYTES = 1024 * 1024
/** As many of ours, and as many that the helper accepted. */
export const MAX_CHANNELS = 1024
/** What a channel may send at first. */
export const START_CREDIT = 256 * 1024
/** A channel's credit never exceeds it, in either direction. */
export const MAX_CREDIT = 2 * 1024 * 1024

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

/** Bits of HELLO. */
export const FEATURE = { SFTP: 1, RESOLVER: 2, OWN_LINE: 4 } as const
/** Bits of SPAWN, of SFTP, and of LISTEN for a unix socket. */
export const SPAWN_FLAG = { PTY: 1, MONITOR: 2, STAND_IN: 4 } as const
export const SFTP_FLAG = { READ_ONLY: 1, OWN_LINE: 2 } as const
export const LISTEN_FLAG = { UNLINK: 1, DIRECTORY: 2 } as const
/** Of an address, in CONNECT and LISTEN. */
export const ADDRESS_KIND = { TCP: 0, UNIX: 1 } as const
export const CLOSE_MODE = { HANGUP: 0, TERMINATE: 1, TREE: 2 } as const
/** Of FAIL, by number. */
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

export function closeFrame(channel: number, mode: number): Buffer {
  return frame(FRAME_TYPE.CLOSE, channel, Buffer.from([mode]))
}

export function pingFrame(opaque: bigint): Buffer {
  const out = Buffer.allocUnsafe(HEADER + 8)
  writeHeader(out, FRAME_TYPE.PING, 0, 8)
  out.writeBigUInt64BE(opaque, HEADER)
  return out
}
