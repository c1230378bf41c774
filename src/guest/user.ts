/** As whom a helper runs. */
/** The user that runs inside. Resolved by EnvInfo, never text of a client. */
export interface GuestUser {
  /** As ExecSpec.user: a name (brings its supplementary groups), "uid", "uid:gid", or "" for the container's own. */
  readonly exec: string
  /**
   * Where `exec` is the container's own user, root, and the engine's exec takes no other: the helper itself becomes this user,
   * "uid:gid" and supplementary groups as ",gid". Nothing else may be started then in their name.
   */
  readonly become?: string
  readonly uid: number
  readonly gid: number
}

/** What the helper's file is started with. */
export function serveWords({ become }: Pick<GuestUser, 'become'>): readonly string[] {
  return ['serve', ...(become === undefined ? [] : [become])]
}

/** For the log. */
export function whom({ exec, uid, gid }: GuestUser): string {
  return exec || `${uid}:${gid}`
}
