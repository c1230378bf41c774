/** A time on the command line. */
import { parseDuration } from '../config/values.ts'
import { CliFailure } from '../control/cli-failure.ts'

/** "2h": so long ago; else a date, or a date and a time. */
export function timeOf(option: string, text: string): number {
  const ago = /^\d+[a-z]/i.test(text) ? parseDuration(text) : undefined
  const time = ago === undefined ? Date.parse(text) : Date.now() - ago
  if (!Number.isNaN(time)) return time
  throw new CliFailure(`${option}: expected a time such as 2h (ago), 2027-01-12 or 2027-01-12T12:00:00Z`, 2)
}
