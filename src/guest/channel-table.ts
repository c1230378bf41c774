/** The channels of one helper by number, and what its frames may do to them. */
import type { HatchwayError } from '../base/errors.ts'
import type { GuestChannel } from './channel.ts'
import { HELPERS_ID, MAX_CHANNELS, ProtocolError } from './frames.ts'
import { HelperListener } from './listener.ts'

export class ChannelTable {
  readonly #channels = new Map<number, GuestChannel>()
  #accepted = 0
  #nextId = 0

  get size(): number {
    return this.#channels.size
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

  /**
   * Every id in a helper's frame is one of the table, or the helper lies: CLOSED is always a channel's last frame.
   * @throws ProtocolError
   */
  get(id: number): GuestChannel {
    const channel = this.#channels.get(id)
    if (channel === undefined) throw new ProtocolError(`channel ${id} is not open`)
    return channel
  }

  /** ACCEPT on channel `id`: the listener it is of. What that makes of it is to be `set`. @throws ProtocolError */
  accept(id: number, listener: number): HelperListener {
    const from = this.get(listener)
    if (!(from instanceof HelperListener)) throw new ProtocolError('ACCEPT of no listener')
    if (this.#channels.has(id)) throw new ProtocolError(`ACCEPT on channel ${id}, which is open`)
    if (this.#accepted >= MAX_CHANNELS) throw new ProtocolError('too many accepted channels')
    this.#accepted += 1
    return from
  }

  remove(id: number): void {
    this.#channels.delete(id)
    if (id >= HELPERS_ID) this.#accepted -= 1
  }

  /** The helper is gone, and every channel with it. */
  lost(error: HatchwayError): void {
    for (const channel of this.#channels.values()) channel.lost(error)
    this.#channels.clear()
  }
}
