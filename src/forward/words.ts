/** What is said of a forward, to people and in the log. */
import type { DirectTarget, ForwardBind } from '../ssh/connection.ts'

export const NO_HELPER = 'forwarding needs the guest helper, which this container cannot have'

export function placeName(end: DirectTarget | ForwardBind): string {
  return end.kind === 'tcp' ? `${end.host}:${end.port}` : end.path
}
