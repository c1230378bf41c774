import type { Logger } from 'pino'
import { onAbort } from '../lifetime/on-abort.ts'
import type { SshConnection } from '../ssh/connection.ts'

/** How many of something each identity has. Only identities that have some are kept. */
export class PerIdentity {
  readonly #counts = new Map<string, number>()

  /** How to give it back (idempotent); undefined: there are `max` already. 0 is no limit. */
  take(name: string, max: number): (() => void) | undefined {
    const count = this.#counts.get(name) ?? 0
    if (max > 0 && count >= max) return undefined
    this.#counts.set(name, count + 1)
    let taken = true
    return () => {
      if (!taken) return
      taken = false
      const left = (this.#counts.get(name) ?? 1) - 1
      if (left > 0) this.#counts.set(name, left)
      else this.#counts.delete(name)
    }
  }

  /** A connection more; one too many is told so and ends. */
  limit(connection: SshConnection<{ readonly name: string }>, max: number, log: Logger): void {
    const { name } = connection.identity
    const leave = this.take(name, max)
    if (leave) {
      onAbort(connection.closed, leave)
      return
    }
    const message = `${name} has ${max} connection${max === 1 ? '' : 's'} already, and may have no more`
    log.warn({ code: 'TOO_MANY_CONNECTIONS' }, message)
    connection.disconnect(`hatchway: ${message}`, 'too-many-connections')
  }
}
