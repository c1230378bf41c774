/**
 * Where encrypted packets go: they are built next to each other in reused slabs, and adjacent ones leave in one write.
 * Against ssh2's own way (a fresh buffer and a write for each packet) this halves the CPU of a download.
 */
import { randomFillSync } from 'node:crypto'
import type { Writable } from 'node:stream'

const SLAB_SIZE = 256 * 1024
/** Slabs kept for the next burst; what is above that goes to the garbage collector. */
const KEEP_SLABS = 32
/** Less than this is copied out, so that an idle connection holds no slab. */
const SMALL_WRITE = 8 * 1024
/** Unsent bytes above which channels hold their data back; below half of it they go on. */
const HIGH_WATER = 512 * 1024

interface Slab {
  readonly bytes: Buffer
  writes: number
}

const spare: Slab[] = []

export class PacketOutput {
  readonly #stream: Writable
  readonly #drained: () => void
  #slab: Slab | undefined
  /** Of the current slab: packets in [from, to) are not yet handed to the stream. */
  #from = 0
  #to = 0
  #scheduled = false
  #inFlight = 0
  #bytes = 0
  #packets = 0

  constructor(stream: Writable, drained: () => void) {
    this.#stream = stream
    this.#drained = drained
  }

  /** Bytes and writes of packets so far, for rekeying. */
  get bytes(): number {
    return this.#bytes
  }

  get packets(): number {
    return this.#packets
  }

  get unsent(): number {
    return this.#inFlight + this.#to - this.#from
  }

  get congested(): boolean {
    return this.unsent >= HIGH_WATER
  }

  /** Room for one packet, which the cipher hands to `write` before the next is asked for. */
  alloc(size: number): Buffer {
    if (size > SLAB_SIZE) return Buffer.allocUnsafe(size)
    let slab = this.#slab
    if (!slab || this.#to + size > SLAB_SIZE) {
      this.flush()
      this.#letGo()
      slab = this.#slab = spare.pop() ?? { bytes: Buffer.allocUnsafeSlow(SLAB_SIZE), writes: 0 }
      this.#from = this.#to = 0
    }
    return slab.bytes.subarray(this.#to, this.#to + size)
  }

  /** ssh2's onWrite: a packet from `alloc`, or any other bytes, in order. */
  write(data: Uint8Array | string): void {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data
    this.#bytes += bytes.length
    this.#packets++
    if (bytes.buffer !== this.#slab?.bytes.buffer) {
      // Ciphers without the native binding give a packet in pieces: they, too, leave in one write.
      if (bytes.length > SLAB_SIZE) {
        this.flush()
        this.#send(bytes, undefined)
        return
      }
      this.alloc(bytes.length).set(bytes)
    }
    this.#to += bytes.length
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => this.flush())
  }

  flush(): void {
    this.#scheduled = false
    const slab = this.#slab
    const size = this.#to - this.#from
    if (!slab || size === 0) return
    const packets = slab.bytes.subarray(this.#from, this.#to)
    if (size <= SMALL_WRITE) {
      this.#to = this.#from
      this.#send(Buffer.from(packets), undefined)
      if (slab.writes === 0) this.#letGo()
    } else {
      this.#from = this.#to
      slab.writes++
      this.#send(packets, slab)
    }
  }

  #send(bytes: Uint8Array, slab: Slab | undefined): void {
    this.#inFlight += bytes.length
    // The stream calls back for every write, also after an error or destroy.
    this.#stream.write(bytes, () => this.#sent(bytes.length, slab))
  }

  #sent(size: number, slab: Slab | undefined): void {
    const before = this.unsent
    this.#inFlight -= size
    if (slab) {
      slab.writes--
      if (slab !== this.#slab) giveBack(slab)
      else if (slab.writes === 0 && this.#from === this.#to) this.#letGo()
    }
    if (before >= HIGH_WATER / 2 && this.unsent < HIGH_WATER / 2) this.#drained()
  }

  #letGo(): void {
    const slab = this.#slab
    this.#slab = undefined
    this.#from = this.#to = 0
    if (slab) giveBack(slab)
  }
}

function giveBack(slab: Slab): void {
  if (slab.writes === 0 && spare.length < KEEP_SLABS) spare.push(slab)
}

const pool = Buffer.alloc(8 * 1024)
let poolUsed = pool.length

/** Random padding (RFC 4253 §6) from a pool: one system call for each packet was 12 % of a download. */
export function pad(packet: Buffer, at: number, size: number): void {
  if (poolUsed + size > pool.length) {
    randomFillSync(pool)
    poolUsed = 0
  }
  pool.copy(packet, at, poolUsed, poolUsed + size)
  // Used bytes are wiped: a later leak of this memory must not tell old padding.
  pool.fill(0, poolUsed, poolUsed + size)
  poolUsed += size
}
