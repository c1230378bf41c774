/** What waits to be written of one session: in order and bounded, with gaps where it found no room. */
import type { ByteCode, LineCode } from './cast.ts'

/** A session that must be recorded waits from here on. */
const STALL_BYTES = 4 * 1024 * 1024
/** What comes all the same until it does, and what one that need not be recorded may have waiting. */
const MAX_BYTES = 8 * 1024 * 1024
/** Of all sessions of one identity. */
const IDENTITY_BYTES = 32 * 1024 * 1024
/** Of an entry, besides its bytes. */
const ENTRY_BYTES = 64

/** What waits for one identity. */
export interface QueueAccount {
  bytes: number
}

export type QueueItem =
  | { readonly at: number; readonly code: ByteCode; readonly chunk: Buffer }
  | { readonly at: number; readonly code: LineCode; readonly data: string }

export interface QueueBatch {
  readonly items: readonly QueueItem[]
  /** Lines of events. */
  readonly events: string
  /** To be given back once it is written. */
  readonly bytes: number
}

export interface RecordQueue {
  /** Copies the chunk. */
  add(at: number, code: ByteCode, chunk: Buffer): void
  line(at: number, code: LineCode, data: string): void
  event(line: string): void
  take(bytes: number): QueueBatch
  written(bytes: number): void
  /** All of it is lost. */
  drop(): void
  hasRoom(): boolean
  readonly bytes: number
  readonly isEmpty: boolean
  readonly gaps: { readonly count: number; readonly bytes: number }
}

/** @param mustKeep its source waits when told; it has no gap before all bounds are reached */
export function createRecordQueue(mustKeep: boolean, account: QueueAccount): RecordQueue {
  let items: QueueItem[] = []
  let events: string[] = []
  let waiting = 0
  const gaps = { count: 0, bytes: 0 }
  /** Not said yet. */
  let missing = 0

  function has(bytes: number): boolean {
    const isFull = waiting + bytes > MAX_BYTES || (!mustKeep && account.bytes + bytes > IDENTITY_BYTES)
    if (isFull) {
      if (missing === 0) gaps.count++
      gaps.bytes += bytes
      missing += bytes
    }
    return !isFull
  }

  function count(bytes: number): void {
    waiting += bytes
    account.bytes += bytes
  }

  function push(item: QueueItem, bytes: number): void {
    if (missing > 0) {
      const [data, { at }] = [String(missing), item]
      missing = 0
      const told = `gap: ${data} bytes are not recorded`
      items.push({ at, code: 'm', data: told }, { at, code: 'g', data })
      count(told.length + data.length + 2 * ENTRY_BYTES)
    }
    items.push(item)
    count(bytes + ENTRY_BYTES)
  }

  return {
    add(at, code, chunk) {
      if (has(chunk.length)) push({ at, code, chunk: Buffer.from(chunk) }, chunk.length)
    },
    line(at, code, data) {
      // Its end has room.
      if (code === 'x' || has(data.length)) push({ at, code, data }, data.length)
    },
    event(line) {
      if (!has(line.length)) return
      events.push(line)
      count(line.length + ENTRY_BYTES)
    },
    take(most) {
      let bytes = 0
      let number = 0
      for (const item of items) {
        if (bytes >= most) break
        bytes += ENTRY_BYTES + ('chunk' in item ? item.chunk.length : item.data.length)
        number++
      }
      const taken = items.slice(0, number)
      items = items.slice(number)
      let lines = 0
      let text = ''
      while (lines < events.length && text.length < most) text += events[lines++]
      events = events.slice(lines)
      return { items: taken, events: text, bytes: bytes + text.length + lines * ENTRY_BYTES }
    },
    written: (bytes) => count(-bytes),
    drop() {
      items = []
      events = []
      count(-waiting)
    },
    hasRoom: () => waiting < STALL_BYTES && account.bytes < IDENTITY_BYTES,
    get bytes() {
      return waiting
    },
    get isEmpty() {
      return items.length === 0 && events.length === 0
    },
    gaps,
  }
}
