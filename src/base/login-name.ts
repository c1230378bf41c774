/**
 * "alice=dev@web": the gateway's user alice asks for "dev@web". The name is only needed where no key says who it is, or
 * to have a key refused that is somebody else's. "=" is what no client takes apart: ":" and "/" end the host in scp and
 * rsync, "+" and "%" stand for "@", "," divides -J.
 */

/** Also names of `users` in the configuration. */
export const USER_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}$/

export interface LoginName {
  /** Who the client says it is; nothing is proved by it. */
  readonly claimed?: string
  /** What it asks for: user and container. */
  readonly address: string
}

/** The first "=" divides, if what stands before it can be a name; a leading "=" says that there is none. */
export function splitLoginName(sshUser: string): LoginName {
  const at = sshUser.indexOf('=')
  if (at === 0) return { address: sshUser.slice(1) }
  const claimed = sshUser.slice(0, Math.max(at, 0))
  return USER_NAME.test(claimed) ? { claimed, address: sshUser.slice(at + 1) } : { address: sshUser }
}
