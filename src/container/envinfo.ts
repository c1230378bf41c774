/**
 * Who `user@container` is inside. One probe per container start and user while passwd stays as it is; the engine
 * resolves the name itself when it starts the program, and what it made of it is compared (USER_CHANGED).
 */

import { HatchwayError } from '../base/errors.ts'
import { type Container, type Engine, type ExecCarries, engineOf } from '../engine/engine.ts'
import type { GuestUser } from '../guest/user.ts'
import { toMap } from './env-map.ts'
import { brief } from './find.ts'
import { readInside, type Seen } from './inside-file.ts'
import { findByName, findByUid, findGroup, groupsOf, type PasswdEntry, parseNumericId } from './passwd.ts'

/** The user record, complete: what passwd lacks has its default. */
export interface EnvInfo extends PasswdEntry {
  /**
   * How the engine is told: a name brings the supplementary groups, digits mean a uid to it. "": the container's own user,
   * with the groups that whoever ran the container gave it.
   */
  readonly engineUser: string
  /**
   * The engine's exec takes no user, and the container runs as root: what the helper has to become (GuestUser.become). There is
   * no plain road as this user: `engineUser` names them, which such an exec refuses.
   */
  readonly become?: string
  /** passwd has one. */
  readonly entry: boolean
  /** passwd has an entry of theirs, or the container itself runs as them; else they are a number that a client chose. */
  readonly known: boolean
}

/** A record, and what it came from: while those files are what they were, it holds. */
export interface Probed {
  readonly info: EnvInfo
  readonly seen: readonly Seen[]
}

/** What is in a container of passwd(5) and group(5); undefined: an image without the file. */
export interface UserFiles {
  readonly passwd: Buffer | undefined
  readonly group?: Buffer | undefined
}

type Own = Pick<Container, 'name' | 'user' | 'env'>

/**
 * @param user as the client asked, undefined for the container's own
 * @throws HatchwayError USER_NOT_FOUND, USER_BROKEN, ENGINE_*
 */
export async function probeEnvInfo(
  engine: Engine,
  container: Container,
  user: string | undefined,
  signal: AbortSignal,
): Promise<Probed> {
  const { carries } = engineOf(engine, container.id)
  const passwd = await readInside(engine, container, '/etc/passwd', signal)
  if (!needsGroups(container, user, carries)) {
    return { info: resolveUser({ passwd: passwd.content }, user, container, carries), seen: passwd.seen }
  }
  const group = await readInside(engine, container, '/etc/group', signal)
  const info = resolveUser({ passwd: passwd.content, group: group.content }, user, container, carries)
  const complete = passwd.seen.length > 0 && group.seen.length > 0
  return { info, seen: complete ? [...passwd.seen, ...group.seen] : [] }
}

function needsGroups(
  container: Own,
  user: string | undefined,
  carries: Pick<ExecCarries, 'user'> | undefined,
): boolean {
  if (user === undefined) return namesGroup(container)
  return carries?.user === 'numeric' || carries?.user === 'none'
}

/**
 * Pure half of the probe. An engine that looks no name up has all that the name stands for told by number; one that takes no
 * user at all is told none, where the container's own user is meant.
 */
export function resolveUser(
  files: UserFiles,
  user: string | undefined,
  container: Own,
  carries?: Pick<ExecCarries, 'user'>,
): EnvInfo {
  if (user === undefined) return ownUser(files, container)
  const info = named(files.passwd, user, container)
  if (carries === undefined || carries.user === 'any') return info
  const groups = info.entry && files.group ? groupsOf(files.group, info.name) : []
  const numbers = [`${info.uid}:${info.gid}`, ...groups].join(',')
  if (carries.user === 'numeric') return { ...info, engineUser: numbers }
  const own = ownUser(files, container)
  if (own.uid === info.uid && own.gid === info.gid) return { ...info, engineUser: '' }
  return own.uid === 0 ? { ...info, become: numbers } : info
}

/** As whom the helper is started, and what it is then. */
export function guestUserOf({ become, engineUser, uid, gid }: EnvInfo): GuestUser {
  return become === undefined ? { exec: engineUser, uid, gid } : { exec: '', become, uid, gid }
}

/** As whom the engine runs what it is told no user for: Config.User, "", "USER", "USER:GROUP". */
function ownUser({ passwd, group }: UserFiles, container: Own): EnvInfo {
  const { user, group: wanted } = configured(container)
  const info = { ...named(passwd, user || '0', container), engineUser: '', known: true }
  if (wanted === '') return info
  const gid = parseNumericId(wanted) ?? (group && findGroup(group, wanted))
  if (typeof gid === 'number') return { ...info, gid }
  const what = `group "${brief(wanted)}" that container ${container.name} runs as`
  throw gid === 'broken'
    ? new HatchwayError('USER_BROKEN', `the entry of ${what} is broken: refused`)
    : new HatchwayError('USER_NOT_FOUND', `there is no ${what}`)
}

function named(passwd: Buffer | undefined, user: string, container: Own): EnvInfo {
  const uid = parseNumericId(user)
  if (uid !== undefined) {
    const entry = passwd && findByUid(passwd, uid)
    if (entry === 'broken') throw broken(user, container)
    return entry ? fromEntry(entry, String(uid)) : anonymous(uid, container)
  }
  const found = passwd && findByName(passwd, user)
  if (found === 'broken') throw broken(user, container)
  if (found) return fromEntry(found, found.name)
  if (user === 'root') return anonymous(0, container)
  throw new HatchwayError('USER_NOT_FOUND', `no user "${brief(user)}" in container ${container.name}`)
}

function broken(user: string, { name }: Own): HatchwayError {
  return new HatchwayError(
    'USER_BROKEN',
    `the passwd entry of "${brief(user)}" in container ${name} is broken: refused`,
  )
}

function fromEntry(entry: PasswdEntry, engineUser: string): EnvInfo {
  return { ...entry, home: entry.home || '/', shell: entry.shell || '/bin/sh', engineUser, entry: true, known: true }
}

/** A uid without a passwd entry, as the engines run it: gid 0, and at home where image or `run -e` say. */
function anonymous(uid: number, { env }: Own): EnvInfo {
  const [name, home] = uid === 0 ? ['root', '/root'] : [String(uid), '/']
  const given = toMap(env).get('HOME')
  return {
    name,
    uid,
    gid: 0,
    home: given?.startsWith('/') ? given : home,
    shell: '/bin/sh',
    engineUser: String(uid),
    entry: false,
    known: uid === 0,
  }
}

function configured({ user }: Own): { readonly user: string; readonly group: string } {
  const [name = '', group = ''] = user.split(':')
  return { user: name, group }
}

function namesGroup(container: Own): boolean {
  const { group } = configured(container)
  return group !== '' && parseNumericId(group) === undefined
}
