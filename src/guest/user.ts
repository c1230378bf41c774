/** As whom a helper runs. */
/** The user that runs inside. Resolved by EnvInfo, never text of a client. */
export interface GuestUser {
  /** As ExecSpec.user: a name (brings its supplementary groups), "uid", "uid:gid", or "" for the container's own. */
  readonly exec: string
  readonly uid: number
  readonly gid: number
}

/** For the log. */
export function whom({ exec, uid, gid }: GuestUser): string {
  return exec || `${uid}:${gid}`
}
