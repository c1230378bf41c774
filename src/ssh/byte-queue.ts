/**
 * Bytes waiting in order. What goes in is copied, into blocks that many small pieces share: a peer that sends two million
 * one-byte packets must not cost two million objects.
 */

const SMALL_BLOCK_BYTES = 4 * 1024
const LARGE_BLOCK_BYTES = 32 * 1024
/** Drained blocks for the next burst: a stream whose client is slower than its program fills and drains all the time. */
const KEEP_BLOCKS = 64
const spare: Buffer[] = []

interface Block {
  readonly bytes: Buffer
  start: number
  end: number
}

export class ByteQueue {
  readonly #blocks: Block[] = []
  #length = 0

  get length(): number {
    return this.#length
  }

  push(chunk: Buffer): void {
    const tail = this.#blocks.at(-1)
    let at = tail ? fill(tail, chunk, 0) : 0
    while (at < chunk.length) {
      const isSmall = chunk.length - at <= SMALL_BLOCK_BYTES && this.#length < SMALL_BLOCK_BYTES
      const block = { bytes: isSmall ? Buffer.allocUnsafe(SMALL_BLOCK_BYTES) : takeBlock(), start: 0, end: 0 }
      at = fill(block, chunk, at)
      this.#blocks.push(block)
    }
    this.#length += chunk.length
  }

  /** The first bytes, which leave the queue. Empty when there are none. */
  shift(): Buffer {
    const block = this.#blocks.shift()
    if (!block) return Buffer.alloc(0)
    const bytes = block.bytes.subarray(block.start, block.end)
    this.#length -= bytes.length
    // A few bytes must not keep a whole block alive in their holder.
    return bytes.length * 4 < block.bytes.length ? Buffer.from(bytes) : bytes
  }

  /** `use` gets the first bytes, lent until it returns; they leave the queue. Nothing happens when there are none. */
  lend(use: (bytes: Buffer) => void): void {
    const block = this.#blocks.shift()
    if (!block) return
    const bytes = block.bytes.subarray(block.start, block.end)
    this.#length -= bytes.length
    use(bytes)
    giveBack(block)
  }

  /** Moves `count` bytes (at most `length`) to `target`. */
  copyTo(target: Buffer, at: number, count: number): void {
    let left = count
    while (left > 0) {
      const block = this.#blocks[0]
      if (!block) throw new RangeError('not that many bytes queued')
      const size = Math.min(left, block.end - block.start)
      block.bytes.copy(target, at + count - left, block.start, block.start + size)
      block.start += size
      left -= size
      if (block.start < block.end) continue
      this.#blocks.shift()
      giveBack(block)
    }
    this.#length -= count
  }

  clear(): void {
    this.#blocks.length = 0
    this.#length = 0
  }
}

function takeBlock(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(LARGE_BLOCK_BYTES)
}

function giveBack({ bytes }: Block): void {
  if (bytes.length === LARGE_BLOCK_BYTES && spare.length < KEEP_BLOCKS) spare.push(bytes)
}

function fill(block: Block, chunk: Buffer, from: number): number {
  const size = Math.min(block.bytes.length - block.end, chunk.length - from)
  chunk.copy(block.bytes, block.end, from, from + size)
  block.end += size
  return from + size
}
