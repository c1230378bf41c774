import type { Logger } from 'pino'
import { Counts } from '../base/counts.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import type { SshConnection } from '../ssh/connection.ts'

/** How many of something each identity has. */
export class PerIdentity extends Counts {
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
