/**
 * EnvInfoer: who `user@container` is inside. One probe per container start and user while passwd stays as it is, without running anything in
 * the container: /etc/passwd comes through the engine's copy call, so an image without `cat` works, and a FIFO in its
 * place hangs nobody.
 */
import path from 'node:path'
import type { Container, Engine } from '../engine/engine.ts'
import { HatchwayError } from '../errors.ts'
import { firstEntry } from '../tar.ts'
import { brief } from './find.ts'
import { findByName, findByUid, type PasswdEntry, parseId } from './passwd.ts'

/** 10,000 users of 100 bytes; a larger file is no user database. */
const PASSWD_LIMIT = 1024 * 1024
const MAX_LINKS = 8

/** The user record, complete: what passwd lacks has its default. */
export interface EnvInfo {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
  /** As in passwd; may be missing inside, may be nologin. */
  readonly shell: string
  /** How the engine is told: a name brings the supplementary groups, digits mean a uid to it. */
  readonly engineUser: string
}

/** A record, and what it came from: while those files are what they were, it holds. */
export interface Probed {
  readonly info: EnvInfo
  /** Empty where the engine cannot tell. */
  readonly files: readonly Seen[]
}

interface Seen {
  readonly path: string
  readonly stat: string
}

/**
 * @param user as the client asked, undefined for the container's default user
 * @throws HatchwayError USER_NOT_FOUND, USER_BROKEN, ENGINE_*
 */
export async function probeEnvInfo(
  engine: Engine,
  container: Container,
  user: string | undefined,
  signal: AbortSignal,
): Promise<Probed> {
  const { text, files } = await readTextFile(engine, container.id, '/etc/passwd', signal)
  return { info: resolveUser(text, user, container), files }
}

/** Whether a probe would give the same again, asked without reading anything. */
export async function stillHolds(
  engine: Engine,
  containerId: string,
  probed: Probed,
  signal: AbortSignal,
): Promise<boolean> {
  for (const { path, stat } of probed.files) {
    if ((await engine.statPath?.(containerId, path, signal)) !== stat) return false
  }
  return probed.files.length > 0
}

/** Pure half of the probe. `passwd` is undefined in an image without the file. */
export function resolveUser(
  passwd: string | undefined,
  user: string | undefined,
  container: { readonly name: string; readonly user: string },
): EnvInfo {
  if (user === undefined) {
    // Config.User may be "name:group": the group is the operator's choice and stays (the engine then drops the others).
    const [configured = ''] = container.user.split(':')
    const info = resolveUser(passwd, configured === '' ? 'root' : configured, container)
    return container.user.includes(':') ? { ...info, engineUser: container.user } : info
  }
  const uid = parseId(user)
  if (uid !== undefined) {
    const entry = passwd === undefined ? undefined : findByUid(passwd, uid)
    return entry ? fromEntry(entry, String(uid)) : anonymous(user, uid)
  }
  const found = passwd === undefined ? undefined : findByName(passwd, user)
  if (found === 'broken') {
    throw new HatchwayError(
      'USER_BROKEN',
      `the passwd entry of "${brief(user)}" in container ${container.name} is broken: refused`,
    )
  }
  if (found) return fromEntry(found, found.uid === 0 && found.name === 'root' ? '0' : found.name)
  if (user === 'root') return { ...anonymous('root', 0), home: '/root' }
  throw new HatchwayError('USER_NOT_FOUND', `no user "${brief(user)}" in container ${container.name}`)
}

function fromEntry(entry: PasswdEntry, engineUser: string): EnvInfo {
  return { ...entry, home: entry.home || '/', shell: entry.shell || '/bin/sh', engineUser }
}

/** A uid without a passwd entry, as the engines run it: gid 0, home /. */
function anonymous(name: string, uid: number): EnvInfo {
  return { name, uid, gid: 0, home: '/', shell: '/bin/sh', engineUser: String(uid) }
}

/** A regular file's text, links followed inside the container; no text when there is no such regular file. */
async function readTextFile(
  engine: Engine,
  containerId: string,
  file: string,
  signal: AbortSignal,
): Promise<{ text: string | undefined; files: readonly Seen[] }> {
  const files: Seen[] = []
  let current = file
  for (let hops = 0; hops < MAX_LINKS; hops++) {
    // Before it is read: what is written in between makes it another file.
    const stat = await engine.statPath?.(containerId, current, signal)
    if (stat !== undefined) files.push({ path: current, stat })
    const tar = await engine.copyOut(containerId, current, PASSWD_LIMIT, signal)
    const entry = tar && firstEntry(tar)
    const complete = files.length === hops + 1 ? files : []
    if (entry?.type === 'file') return { text: entry.content.toString(), files: complete }
    if (entry?.type !== 'link') break
    current = path.posix.resolve(path.posix.dirname(current), entry.target)
  }
  return { text: undefined, files: [] }
}
