/**
 * Finds SFTP packets in a stream that is cut anywhere. Of each packet only the first bytes are kept, as many as its type
 * needs; the data of a READ or WRITE is skipped, or lent piece by piece to whoever asks for it.
 */
import type { TakeBytes } from './content-hash.ts'
import { PACKET_TYPE } from './types.ts'

/** Type, id, a handle (256 bytes at most, §6.3), two numbers. */
const SHORT_BYTES = 300
/** Two paths of Linux's length. A longer one is cut; no server opens it. */
const LONG_BYTES = 2 * 4096 + 512
const PATHS = new Set<number>([
  PACKET_TYPE.OPEN,
  PACKET_TYPE.SETSTAT,
  PACKET_TYPE.REMOVE,
  PACKET_TYPE.MKDIR,
  PACKET_TYPE.RMDIR,
  PACKET_TYPE.RENAME,
  PACKET_TYPE.SYMLINK,
  PACKET_TYPE.EXTENDED,
])

const LENGTH_BYTES = 4
const HEAD = LENGTH_BYTES + 1

/**
 * Called with the first bytes of a packet, from its type on, lent; `length` is the whole packet's. Returns what takes the
 * bytes behind them.
 */
export type HearPacket = (head: Buffer, length: number) => TakeBytes | undefined

export class SftpPackets {
  readonly #packet: HearPacket
  #rest: TakeBytes | undefined
  #held: Buffer | undefined
  #have = 0
  #skip = 0

  constructor(packet: HearPacket) {
    this.#packet = packet
  }

  feed(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, chunk.length - at)
        this.#skip -= skipped
        this.#rest?.(chunk.subarray(at, at + skipped))
        at += skipped
      } else if (this.#have === 0 && this.#isWhole(chunk, at)) {
        at = this.#take(chunk, at)
      } else {
        at = this.#hold(chunk, at)
      }
    }
  }

  #isWhole(chunk: Buffer, at: number): boolean {
    return chunk.length - at >= HEAD && chunk.length - at >= LENGTH_BYTES + kept(chunk, at)
  }

  /** Takes a packet whose head is in `bytes`. Returns where the head ends. */
  #take(bytes: Buffer, at: number): number {
    const length = bytes.readUInt32BE(at)
    const from = at + LENGTH_BYTES
    const to = from + kept(bytes, at)
    this.#skip = from + length - to
    this.#rest = length > 0 ? this.#packet(bytes.subarray(from, to), length) : undefined
    return to
  }

  /** Collects a packet that is cut, until its head is complete. */
  #hold(chunk: Buffer, at: number): number {
    this.#held ??= Buffer.allocUnsafe(LENGTH_BYTES + LONG_BYTES)
    const held = this.#held
    const want = this.#have < HEAD ? HEAD : LENGTH_BYTES + kept(held, 0)
    const copied = chunk.copy(held, this.#have, at, at + want - this.#have)
    this.#have += copied
    // An empty packet ends before its type.
    const empty = this.#have >= LENGTH_BYTES && held.readUInt32BE(0) === 0
    if (empty) {
      const beyond = this.#have - LENGTH_BYTES
      this.#have = 0
      return at + copied - beyond
    }
    if (this.#have >= HEAD && this.#have >= LENGTH_BYTES + kept(held, 0)) {
      this.#have = 0
      this.#take(held, 0)
    }
    return at + copied
  }
}

/** Returns how many bytes of the packet at `at` are kept. */
function kept(bytes: Buffer, at: number): number {
  const type = bytes[at + LENGTH_BYTES] ?? 0
  return Math.min(bytes.readUInt32BE(at), PATHS.has(type) ? LONG_BYTES : SHORT_BYTES)
}

/** Reads the fields of a packet's head in order; a field that was cut off is 0 or empty. */
export class SftpFields {
  readonly #bytes: Buffer
  /** After the type. */
  #at = 1

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  u32(): number {
    const at = this.#at
    this.#at += 4
    return this.#at <= this.#bytes.length ? this.#bytes.readUInt32BE(at) : 0
  }

  u64(): number {
    return this.u32() * 2 ** 32 + this.u32()
  }

  string(): Buffer {
    const length = this.u32()
    const from = this.#at
    this.#at += length
    return this.#bytes.subarray(from, this.#at)
  }

  text(): string {
    return this.string().toString()
  }

  /** What is behind the fields that were read. */
  rest(): Buffer {
    return this.#bytes.subarray(this.#at)
  }
}
