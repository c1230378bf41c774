/** How much has passed towards a container and out of it, and when last. */
export class Traffic {
  /** Client to container. */
  bytesIn = 0
  bytesOut = 0
  /** Milliseconds since the epoch; at first, when it began. */
  activeAt = Date.now()

  addIn(bytes: number): void {
    this.bytesIn += bytes
    this.activeAt = Date.now()
  }

  addOut(bytes: number): void {
    this.bytesOut += bytes
    this.activeAt = Date.now()
  }
}

export function sumOfTraffic(all: Iterable<Bytes>): Bytes {
  let [bytesIn, bytesOut] = [0, 0]
  for (const each of all) {
    bytesIn += each.bytesIn
    bytesOut += each.bytesOut
  }
  return { bytesIn, bytesOut }
}

export type Bytes = Pick<Traffic, 'bytesIn' | 'bytesOut'>
