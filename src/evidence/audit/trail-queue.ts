/** Records that wait to be written to a trail, within a bound of memory. What finds no room is lost, and counted. */

/** One write; between two the gateway does other things. */
const BATCH_RECORDS = 256
const BATCH_BYTES = 256 * 1024

export interface TrailQueueLimits {
  readonly queueBytes: number
  /** More, for records that must be kept: of who is let in although nothing can be written. */
  readonly reserveBytes: number
}

export interface TrailBatch {
  readonly records: readonly string[]
  /** Records that were lost since the batch before. */
  readonly lost: number
}

export interface TrailQueue {
  /** Returns false: it is lost. `mustKeep`: it may use the reserve. */
  add(record: string, mustKeep: boolean): boolean
  /** What the next write takes. */
  take(): TrailBatch
  /** Neither records wait nor the number of those that were lost. */
  readonly isEmpty: boolean
  /** Records were lost since the last batch. */
  readonly lost: number
  readonly records: number
  readonly bytes: number
  readonly lostEver: number
  /** What comes from now on is lost. */
  close(): void
}

export function createTrailQueue({ queueBytes, reserveBytes }: TrailQueueLimits): TrailQueue {
  let waiting: string[] = []
  let bytes = 0
  let lost = 0
  let lostEver = 0
  let isClosed = false
  return {
    add(record, mustKeep) {
      const more = Buffer.byteLength(record)
      if (isClosed || bytes + more > queueBytes + (mustKeep ? reserveBytes : 0)) {
        lost++
        lostEver++
        return false
      }
      waiting.push(record)
      bytes += more
      return true
    },
    take() {
      let taken = 0
      let count = 0
      for (const record of waiting) {
        if (count >= BATCH_RECORDS || taken >= BATCH_BYTES) break
        taken += Buffer.byteLength(record)
        count++
      }
      const batch = { records: waiting.slice(0, count), lost }
      waiting = waiting.slice(count)
      bytes -= taken
      lost = 0
      return batch
    },
    get isEmpty() {
      return waiting.length === 0 && lost === 0
    },
    get lost() {
      return lost
    },
    get records() {
      return waiting.length
    },
    get bytes() {
      return bytes
    },
    get lostEver() {
      return lostEver
    },
    close() {
      isClosed = true
    },
  }
}
