/**
 * What the key exchanges that a client asks for may cost. One of the dear kind is a tenth of a second of the thread that
 * serves everybody, and no client needs many: after the first second they get a tenth of the time. Who wants more waits,
 * and is not ended: RekeyLimit=16 of ssh_config(5) asks for one with every packet.
 */

const SHARE = 0.1
/** Milliseconds of computing. */
const FREE = 1000

export class ExchangeShare {
  #spent = 0
  #at = 0

  /** How long, in milliseconds, the client is not to be heard after an exchange has computed for `cost`; a machine that stood still counts a little. */
  spend(cost: number, now: number): number {
    this.#spent = Math.max(0, this.#spent - (now - this.#at) * SHARE) + Math.min(cost, FREE)
    this.#at = now
    return Math.max(0, this.#spent - FREE) / SHARE
  }
}
