/** A channel as one end of a forwarded connection: -L, -R, agent and X11. */
import type { End, Heard } from '../bytes/relay.ts'
import type { Channel, ChannelOwner } from './channel.ts'
import type { PacketReader } from './packets.ts'

/** The other end of a channel that is gone must take some of what came before within this time. */
const STUCK_MS = 60_000

/**
 * OpenSSH's client as a SOCKS proxy (-R PORT) drops a connection whose EOF it reads together with the request (channels.c,
 * pre_rdynamic). sshd's EOF comes a turn of its poll loop later; ours waits so long for the client's first answer.
 */
const FIRST_ANSWER_MS = 20

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
  /** The client has said something, or need not before it is told the end. */
  #answered: boolean
  #awaitsAnswer: NodeJS.Timeout | undefined

  /** `toProxy`: the client may read what is sent as a proxy does. */
  constructor(channel: Channel, toProxy = false) {
    this.#channel = channel
    this.#answered = !toProxy
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
      if (this.#answered) this.#finish()
      else this.#awaitsAnswer = setTimeout(() => this.#finish(), FIRST_ANSWER_MS)
    })
  }

  #hasAnswered(): void {
    this.#answered = true
    if (this.#awaitsAnswer) this.#finish()
  }

  #finish(): void {
    clearTimeout(this.#awaitsAnswer)
    this.#awaitsAnswer = undefined
    this.#channel.sendEof()
    this.#isFinished = true
    this.#heard?.finished()
    this.#settle()
  }

  resume(): void {
    this.#stalled = false
    this.#read()
  }

  destroy(): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#limit)
    clearTimeout(this.#awaitsAnswer)
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
    this.#hasAnswered()
    if (this.#stalled) return false
    this.#give(bytes)
    return true
  }

  onEof(): void {
    this.#hasAnswered()
    this.#read()
  }

  onDrained(): void {
    if (!this.#isOver) this.#heard?.drained()
  }

  onRequest(_type: string, _data: PacketReader, answer: (accepted: boolean) => void): void {
    answer(false)
  }

  onClosed(forced: boolean): void {
    this.#hasAnswered()
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
    else this.#limit = setTimeout(() => this.#awaitReader(unread), STUCK_MS).unref()
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
