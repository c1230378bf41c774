/** ChannelTimeout of sshd_config(5): channels that carry no byte for a time are closed. */
import { globMatches } from '../base/glob.ts'
import { IdleTimer } from '../lifetime/idle-timer.ts'
import type { Channel } from './channel.ts'

export interface ChannelTimeout {
  /** Of a channel's type, "*" and "?". */
  readonly pattern: string
  /** 0: none. */
  readonly milliseconds: number
}

/** All of a connection's channels taken together: traffic on one keeps the others. No wildcard means it. */
const GLOBAL = 'global'

export class ChannelTimeouts {
  readonly #timeouts: readonly ChannelTimeout[]
  readonly #expired: (type: string, milliseconds: number) => void
  readonly #channels = new Map<Channel, IdleTimer | undefined>()
  #global: IdleTimer | undefined

  constructor(timeouts: readonly ChannelTimeout[], expired: (type: string, milliseconds: number) => void) {
    this.#timeouts = timeouts
    this.#expired = expired
  }

  /** From now on; again when a session has become what it is. */
  watch(channel: Channel, type: string): void {
    const all = this.#timeouts.find(({ pattern }) => pattern === GLOBAL)?.milliseconds ?? 0
    const own = this.#timeouts.find((timeout) => fits(timeout.pattern, type))?.milliseconds ?? 0
    if (all === 0 && own === 0 && !this.#channels.has(channel)) return
    this.#channels.get(channel)?.stop()
    const timer = own > 0 ? new IdleTimer(own, () => this.#close(type, own, [channel])) : undefined
    if (all > 0) {
      this.#global ??= new IdleTimer(all, () => this.#close(GLOBAL, all, [...this.#channels.keys()]))
      this.#global.touch()
    }
    this.#channels.set(channel, timer)
    channel.onTraffic(() => {
      timer?.touch()
      this.#global?.touch()
    })
  }

  forget(channel: Channel): void {
    this.#channels.get(channel)?.stop()
    this.#channels.delete(channel)
    if (this.#channels.size > 0) return
    this.#global?.stop()
    this.#global = undefined
  }

  #close(type: string, milliseconds: number, channels: readonly Channel[]): void {
    this.#expired(type, milliseconds)
    for (const channel of channels) {
      this.forget(channel)
      channel.expire()
    }
  }
}

/** "session" is every session, as the manual has it; sshd itself takes it for one that runs nothing yet. */
function fits(pattern: string, type: string): boolean {
  if (pattern === GLOBAL) return false
  return globMatches(pattern, type) || (pattern === 'session' && type.startsWith('session:'))
}
