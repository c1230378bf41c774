/** From the SSH user name to what it asks for: "dev@web" is user dev in container web, "web" the container's own user. */

export interface Route {
  /** The user asked for inside; absent: the container's default user. */
  readonly user?: string
  /** The container as the client wrote it: a name, id prefix, service.project, ... */
  readonly container: string
}

/**
 * The last "@" divides: container names and ids hold none, user names inside (LDAP, "a@b") may.
 * Undefined when no container is named at all.
 */
export function parseRoute(sshUser: string): Route | undefined {
  const at = sshUser.lastIndexOf('@')
  const container = sshUser.slice(at + 1)
  if (container === '') return undefined
  const user = at > 0 ? sshUser.slice(0, at) : ''
  return user === '' ? { container } : { user, container }
}
