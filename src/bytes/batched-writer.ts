/**
 * Small writes to a stream, made large: packets, frames and a program's input are built or copied next to each other in
 * reused slabs, and what stands together leaves in one write. Against a fresh buffer and a write for each packet this
 * halves the CPU of a download. What is given is copied: who gave it may use its memory again at once.
 */
import type { Writable } from 'node:stream'

const SLAB_BYTES = 256 * 1024
/** Slabs kept for the next burst; what is above that goes to the garbage collector. */
const KEEP_SLABS = 32
/** Less than this is copied out, so that an idle connection holds no slab. */
const SMALL_WRITE_BYTES = 8 * 1024
/** Unsent bytes above which more is held back, where nobody says otherwise; below half of it that goes on. */
const HIGH_WATER_BYTES = 512 * 1024

interface Slab {
  readonly bytes: Buffer
  writes: number
}

const spare: Slab[] = []

export class SlabOutput {
  readonly #stream: Writable
  readonly #drained: () => void
  readonly #highWater: number
  #slab: Slab | undefined
  /** Of the current slab: bytes in [from, to) are not yet handed to the stream. */
  #from = 0
  #to = 0
  #scheduled = false
  #inFlight = 0
  #bytes = 0
  #pieces = 0

  constructor(stream: Writable, drained: () => void, highWater = HIGH_WATER_BYTES) {
    this.#stream = stream
    this.#drained = drained
    this.#highWater = highWater
  }

  /** Given to `write` so far, for rekeying. */
  get bytes(): number {
    return this.#bytes
  }

  get pieces(): number {
    return this.#pieces
  }

  get unsent(): number {
    return this.#inFlight + this.#to - this.#from
  }

  get congested(): boolean {
    return this.unsent >= this.#highWater
  }

  /** Room for one piece, to be filled and handed to `write` before the next is asked for. */
  alloc(size: number): Buffer {
    if (size > SLAB_BYTES) return Buffer.allocUnsafe(size)
    let slab = this.#slab
    if (!slab || this.#to + size > SLAB_BYTES) {
      this.flush()
      this.#letGo()
      slab = this.#slab = spare.pop() ?? { bytes: Buffer.allocUnsafeSlow(SLAB_BYTES), writes: 0 }
      this.#from = this.#to = 0
    }
    return slab.bytes.subarray(this.#to, this.#to + size)
  }

  /** A piece from `alloc`, or any other bytes, in order. */
  write(data: Uint8Array | string): void {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data
    this.#bytes += bytes.length
    this.#pieces++
    if (bytes.buffer !== this.#slab?.bytes.buffer) {
      if (bytes.length > SLAB_BYTES) {
        this.flush()
        this.#send(Buffer.from(bytes), undefined)
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
    const pieces = slab.bytes.subarray(this.#from, this.#to)
    if (size <= SMALL_WRITE_BYTES) {
      this.#to = this.#from
      this.#send(Buffer.from(pieces), undefined)
      if (slab.writes === 0) this.#letGo()
    } else {
      this.#from = this.#to
      slab.writes++
      this.#send(pieces, slab)
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
    const low = this.#highWater / 2
    if (before >= low && this.unsent < low) this.#drained()
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
