/** What the connection tells a channel of its table. Methods throw ProtocolError where the helper may not say that now. */
import type { HatchwayError } from '../base/errors.ts'
import { deferred } from '../lifetime/deferred.ts'
import type { GuestStage } from './guest.ts'
import type { Output } from './output.ts'

export interface GuestChannel {
  opened(value: number, credit: number): void
  refused(stage: GuestStage, errno: string): void
  data(fd: 1 | 2, piece: Buffer): void
  eof(fd: 1 | 2): void
  window(bytes: number): void
  exited(kind: number, value: number, coreDumped: boolean): void
  unread(): void
  /** CLOSED: nothing more will come; the id is free again. */
  channelClosed(): void
  /** The helper is gone. */
  lost(error: HatchwayError): void
}

/** What a channel is given of its connection. */
export interface ChannelLink {
  readonly id: number
  readonly output: Output
}

/** OPENED or FAIL, or the helper's end, as one promise. */
export class Opening<T> {
  readonly settled: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void

  constructor() {
    const { promise, resolve, reject } = deferred<T>()
    this.settled = promise
    this.resolve = resolve
    this.reject = reject
    this.settled.catch(() => {})
  }
}
