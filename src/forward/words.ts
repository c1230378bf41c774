/** What is said of a forward, to people and in the log. */
import type { DirectTarget, ForwardBind } from '../ssh/connection.ts'

export const NO_HELPER = 'forwarding needs the guest helper, which this container cannot have'

export function placeName(end: DirectTarget | ForwardBind): string {
  return end.kind === 'tcp' ? `${end.host}:${end.port}` : end.path
}

/** What connect(2) fails with, as strerror(3) and so sshd says it: people and scripts look for these. */
export const STRERROR: Readonly<Record<string, string>> = {
  ENOENT: 'No such file or directory',
  EACCES: 'Permission denied',
  EADDRNOTAVAIL: 'Cannot assign requested address',
  ENETUNREACH: 'Network is unreachable',
  ETIMEDOUT: 'Connection timed out',
  ECONNREFUSED: 'Connection refused',
  EHOSTUNREACH: 'No route to host',
}
