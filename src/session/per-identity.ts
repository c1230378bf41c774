import type { Whose } from '../base/connection-facts.ts'
import { Counts } from '../base/counts.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import type { SshConnection } from '../ssh/connection.ts'
import type { SessionEvent } from './session-events.ts'

/** How many of something each identity has. */
export class PerIdentity extends Counts {
  /** A connection more; one too many is told so and ends. */
  limit(
    connection: Pick<SshConnection<unknown>, 'closed' | 'disconnect'>,
    max: number,
    whose: Whose,
    emit: (event: SessionEvent) => void,
  ): void {
    const { name } = whose.identity
    const leave = this.take(name, max)
    if (leave) {
      onAbort(connection.closed, leave)
      return
    }
    const message = `${name} has ${max} connection${max === 1 ? '' : 's'} already, and may have no more`
    emit({ type: 'connection-refused', whose, code: 'TOO_MANY_CONNECTIONS', message })
    connection.disconnect(`hatchway: ${message}`, 'too-many-connections')
  }
}
