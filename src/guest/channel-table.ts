/** The channels of one helper by number, and what its frames do to them. */
import type { HatchwayError } from '../base/errors.ts'
import type { GuestChannel } from './channel.ts'
import type { ChannelFrames } from './frame-parser.ts'
import { HELPERS_ID, MAX_CHANNELS, ProtocolError, STAGES } from './frames.ts'
import { errnoName } from './linux.ts'
import { HelperListener } from './listener.ts'
import type { Output } from './output.ts'

/** Worth a data path of its own. */
const BULK_BYTES = 4 * 1024 * 1024

interface Told {
  /** The last channel has gone. */
  idle(): void
  /** Much has been moved; told once. */
  bulk(): void
}

export class ChannelTable {
  readonly #output: Output
  readonly #told: Told
  readonly #channels = new Map<number, GuestChannel>()
  #accepted = 0
  #nextId = 0
  #received = 0
  #isBulky = false

  constructor(output: Output, told: Told) {
    this.#output = output
    this.#told = told
  }

  get size(): number {
    return this.#channels.size
  }

  /** Payload bytes since the start, both ways. */
  get bytes(): number {
    return this.#received + this.#output.bytes
  }

  /** A number that is ours to give and free. */
  freeId(): number {
    do this.#nextId = this.#nextId >= HELPERS_ID - 1 ? 1 : this.#nextId + 1
    while (this.#channels.has(this.#nextId))
    return this.#nextId
  }

  set(id: number, channel: GuestChannel): void {
    this.#channels.set(id, channel)
  }

  /** The helper is gone, and every channel with it. */
  lost(error: HatchwayError): void {
    for (const channel of this.#channels.values()) channel.lost(error)
    this.#channels.clear()
  }

  /** What a helper's frames do to its channels. They throw ProtocolError where the helper may not say that now. */
  readonly frames: ChannelFrames = {
    opened: (id, value, credit) => this.#get(id).opened(value, credit),
    fail: (id, errno, stage) => {
      this.#get(id).refused(STAGES[stage] ?? 'resources', errnoName(errno))
      this.#remove(id)
    },
    accept: (id, listener, credit, port, address) => {
      const from = this.#accept(id, listener)
      this.set(id, from.accepts({ id, output: this.#output }, credit, port, address))
    },
    data: (id, fd, piece) => {
      this.#received += piece.length
      this.#noticeBulk()
      this.#get(id).data(fd, piece)
    },
    eof: (id, fd) => this.#get(id).eof(fd),
    window: (id, bytes) => {
      this.#noticeBulk()
      this.#get(id).window(bytes)
    },
    exit: (id, kind, value, core) => this.#get(id).exited(kind, value, core),
    unread: (id) => this.#get(id).unread(),
    closed: (id) => {
      this.#get(id).channelClosed()
      this.#remove(id)
    },
  }

  /**
   * Every id in a helper's frame is one of the table, or the helper lies: CLOSED is always a channel's last frame.
   * @throws ProtocolError
   */
  #get(id: number): GuestChannel {
    const channel = this.#channels.get(id)
    if (channel === undefined) throw new ProtocolError(`channel ${id} is not open`)
    return channel
  }

  /** ACCEPT on channel `id`: the listener it is of. @throws ProtocolError */
  #accept(id: number, listener: number): HelperListener {
    const from = this.#get(listener)
    if (!(from instanceof HelperListener)) throw new ProtocolError('ACCEPT of no listener')
    if (this.#channels.has(id)) throw new ProtocolError(`ACCEPT on channel ${id}, which is open`)
    if (this.#accepted >= MAX_CHANNELS) throw new ProtocolError('too many accepted channels')
    this.#accepted += 1
    return from
  }

  #noticeBulk(): void {
    if (this.#isBulky || this.bytes < BULK_BYTES) return
    this.#isBulky = true
    this.#told.bulk()
  }

  #remove(id: number): void {
    this.#channels.delete(id)
    if (id >= HELPERS_ID) this.#accepted -= 1
    if (this.#channels.size === 0) this.#told.idle()
  }
}
