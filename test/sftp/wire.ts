/** SFTP packets as a client and a server send them, and bytes in pieces. */
import { PACKET_TYPE } from '../../src/sftp/types.ts'

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export function u64(value: number): Buffer {
  return Buffer.concat([u32(Math.floor(value / 2 ** 32)), u32(value >>> 0)])
}

export function text(value: string | Buffer): Buffer {
  return Buffer.concat([u32(Buffer.from(value).length), Buffer.from(value)])
}

export function packet(type: number, id: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat([Buffer.from([type]), u32(id), ...parts])
  return Buffer.concat([u32(body.length), body])
}

export function status(id: number, code: number): Buffer {
  return packet(PACKET_TYPE.STATUS, id, u32(code), text('words'), text(''))
}

/** Copies, which may be spoilt after a call as lent bytes are. */
export function pieces(bytes: Buffer, size: () => number): Buffer[] {
  const found: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const n = size()
    found.push(Buffer.from(bytes.subarray(at, at + n)))
    at += n
  }
  return found
}
