/** When keys must be changed: RFC 4253 §9 (bytes and time) and RFC 4344 §3.1 (packets). */

export interface RekeyLimit {
  /** In one direction; 0: never by that. */
  readonly bytes: number
  readonly milliseconds: number
}

/** Sequence numbers have 32 bits; OpenSSH changes keys at 2^31 packets, too (packet.c MAX_PACKETS). */
const MAX_PACKETS = 2 ** 31

export class Rekeying {
  readonly #limit: RekeyLimit
  readonly #rekey: () => void
  #timer: NodeJS.Timeout | undefined
  #deadline: NodeJS.Timeout | undefined
  #exchanges = 0
  #active = false
  #running = false
  /** Counters of the output at the last exchange. */
  #sentBytes = 0
  #sentPackets = 0
  #receivedBytes = 0

  constructor(limit: RekeyLimit, rekey: () => void) {
    this.#limit = limit
    this.#rekey = rekey
  }

  /** The first key exchange is over. */
  get exchanged(): boolean {
    return this.#exchanges > 0
  }

  /** sshd changes keys only after authentication. */
  start(): void {
    this.#active = true
    this.#arm()
  }

  count(sentBytes: number, sentPackets: number): void {
    const { bytes } = this.#limit
    if (bytes > 0 && sentBytes - this.#sentBytes > bytes) this.#due()
    else if (sentPackets - this.#sentPackets > MAX_PACKETS) this.#due()
  }

  received(bytes: number): void {
    this.#receivedBytes += bytes
    if (this.#limit.bytes > 0 && this.#receivedBytes > this.#limit.bytes) this.#due()
  }

  /** An exchange, ours or the client's, is complete. */
  done(sentBytes: number, sentPackets: number): void {
    this.#exchanges++
    this.#running = false
    clearTimeout(this.#deadline)
    this.#sentBytes = sentBytes
    this.#sentPackets = sentPackets
    this.#receivedBytes = 0
    if (this.#active) this.#arm()
  }

  /** A client that does not answer our KEXINIT. */
  expect(milliseconds: number, late: () => void): void {
    clearTimeout(this.#deadline)
    this.#deadline = setTimeout(late, milliseconds)
    this.#deadline.unref()
  }

  stop(): void {
    this.#active = false
    clearTimeout(this.#timer)
    clearTimeout(this.#deadline)
  }

  #arm(): void {
    clearTimeout(this.#timer)
    if (this.#limit.milliseconds === 0) return
    this.#timer = setTimeout(() => this.#due(), this.#limit.milliseconds)
    this.#timer.unref()
  }

  #due(): void {
    if (!this.#active || this.#running) return
    this.#running = true
    this.#rekey()
  }
}
