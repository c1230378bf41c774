/** A channel as one end of a forwarded connection: -L, -R, agent and X11. */
import type { End, Heard } from '../relay.ts'
import type { Channel, ChannelOwner } from './channel.ts'
import type { PacketReader } from './packets.ts'

/** The other end of a channel that is gone must take some of what came before within this time. */
const STUCK_LIMIT = 60_000

export class ChannelEnd implements End, ChannelOwner {
  readonly #channel: Channel
  #heard: Heard | undefined
  #told: (() => void) | undefined
  /** What comes waits in the channel, within its window. */
  #stalled = true
  #readEnd = false
  #ending = false
  #isFinished = false
  #isOver = false
  #limit: NodeJS.Timeout | undefined

  constructor(channel: Channel) {
    this.#channel = channel
    channel.own(this)
  }

  // The other end's side.

  listen(heard: Heard): void {
    this.#heard = heard
    if (this.#isFinished) heard.finished()
    if (this.#isOver) heard.closed()
    else this.resume()
  }

  write(bytes: Buffer): boolean {
    return this.#channel.finished || this.#channel.write(1, bytes)
  }

  end(): void {
    if (this.#ending) return
    this.#ending = true
    this.#channel.whenFlushed(() => {
      this.#channel.sendEof()
      this.#isFinished = true
      this.#heard?.finished()
      this.#settle()
    })
  }

  resume(): void {
    this.#stalled = false
    this.#read()
  }

  destroy(): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#limit)
    this.#channel.close()
    this.#channel.discard()
    this.#heard?.closed()
    this.#told?.()
  }

  whenClosed(told: () => void): void {
    if (this.#isOver) told()
    else this.#told = told
  }

  // The channel's side.

  onData(bytes: Buffer): boolean {
    if (this.#stalled) return false
    this.#give(bytes)
    return true
  }

  onEof(): void {
    this.#read()
  }

  onDrained(): void {
    if (!this.#isOver) this.#heard?.drained()
  }

  onRequest(_type: string, _data: PacketReader, answer: (accepted: boolean) => void): void {
    answer(false)
  }

  onClosed(forced: boolean): void {
    if (this.#isOver) return
    if (forced) {
      this.destroy()
      return
    }
    // What came before CLOSE is still to arrive; writing is over.
    this.end()
    this.#read()
    if (!this.#isOver) this.#awaitReader(Number.POSITIVE_INFINITY)
  }

  #awaitReader(before: number): void {
    const { unread } = this.#channel
    if (unread >= before) this.destroy()
    else this.#limit = setTimeout(() => this.#awaitReader(unread), STUCK_LIMIT).unref()
  }

  #read(): void {
    if (!this.#heard) return
    const give = (bytes: Buffer) => this.#give(bytes)
    while (!this.#stalled && this.#channel.lend(give));
    const { gone, unread, ended } = this.#channel
    if (this.#stalled || this.#readEnd || !(ended || (gone && unread === 0))) return
    this.#readEnd = true
    this.#heard?.ended()
    this.#settle()
  }

  #give(bytes: Buffer): void {
    this.#stalled = !this.#isOver && this.#heard?.data(bytes) === false
  }

  #settle(): void {
    if (this.#readEnd && this.#isFinished) this.destroy()
  }
}
