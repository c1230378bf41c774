/**
 * passwd(5) and group(5), read as strictly as the engines read them loosely: Docker and Podman run a line with a missing
 * or non-numeric uid as uid 0 (measured: "+@ldap::::::", "dev:x:abc:1"), so the first line that carries the name decides,
 * and it must be whole. The files come from the container: hostile, any bytes.
 */
import { bytesOf, textOf } from '../bytes/byte-text.ts'

export interface PasswdEntry {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
  /** May be missing inside, may be nologin. */
  readonly shell: string
}

/** `broken`: a line has the name but is no valid entry. */
export type Lookup<Found> = Found | 'broken' | undefined

/** The engines' own limit on ids (runc libcontainer/user, maxID). */
const MAX_ID = 2 ** 31 - 1
/** PATH_MAX: the kernel enters no longer home and runs no longer shell, and a name is shorter. */
const MAX_FIELD_BYTES = 4096
/** Lines of one uid: each that is no entry costs far more than to pass over one of another uid. */
const MAX_TRIED = 1000

/** NGROUPS_MAX of the kernel. */
const MAX_GROUPS = 65_536

// Not "^" and "$" with the flag m, to which a CR divides lines as well.
const START = '(?<![^\\n])'
const END = '(?![^\\n])'
const BLANKS = '[\\t\\v\\f\\r ]*'

export function findByName(passwd: Buffer, name: string): Lookup<PasswdEntry> {
  const line = lineOf(passwd, name)
  return line === undefined ? undefined : (passwdEntry(line) ?? 'broken')
}

/** The first valid entry with that uid, as getpwuid(3); `broken`: too many lines have the uid and are none. */
export function findByUid(passwd: Buffer, uid: number): Lookup<PasswdEntry> {
  const candidate = `[^:\\n]+:[^:\\n]*:0{0,9}${uid}:\\d{1,10}:[^:\\n]*:[^:\\n]*:[^:\\n]*${END}`
  let tried = 0
  for (const line of lines(passwd, candidate)) {
    const entry = passwdEntry(line, uid)
    if (entry) return entry
    if (++tried === MAX_TRIED) return 'broken'
  }
  return undefined
}

/** The number of a group. */
export function findGroup(group: Buffer, name: string): Lookup<number> {
  const line = lineOf(group, name)
  return line === undefined ? undefined : (groupId(line) ?? 'broken')
}

/** The numbers of the groups that list this user, as initgroups(3) takes them: the primary one is passwd's to tell. */
export function groupsOf(group: Buffer, user: string): number[] {
  if (user === '' || /[:,\s]/.test(user)) return []
  const literal = escaped(bytesOf(user).toString('latin1'))
  const member = `[^:\\n]+:[^:\\n]*:\\d{1,10}:(?:[^:\\n]*,)?${literal}(?=,|${BLANKS}${END})[^\\n]*`
  const ids = new Set<number>()
  for (const line of lines(group, member)) {
    const id = groupId(line)
    if (id !== undefined) ids.add(id)
    if (ids.size === MAX_GROUPS) break
  }
  return [...ids]
}

/** A uid or gid in decimal, or undefined. */
export function parseNumericId(text: string): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined
  const id = Number(text)
  return id <= MAX_ID ? id : undefined
}

/** The first line that carries the name. */
function lineOf(file: Buffer, name: string): string | undefined {
  // "dev:root" is user and group to an engine, and no name.
  if (name === '' || name !== name.trim() || /[:\n]/.test(name)) return undefined
  const wanted = bytesOf(name).toString('latin1')
  if (wanted.length > MAX_FIELD_BYTES) return undefined
  const [line] = lines(file, `${BLANKS}${escaped(wanted)}(?=:|${BLANKS}${END})[^\\n]*`)
  return line
}

function escaped(literal: string): string {
  return literal.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
}

/** Undefined also for an entry of another uid than the wanted. */
function passwdEntry(line: string, wanted?: number): PasswdEntry | undefined {
  const fields = line.split(':', 8)
  const [name, , uidText, gidText, , home, shell] = fields
  if (fields.length !== 7 || !isName(name) || uidText === undefined || gidText === undefined) return undefined
  const uid = parseNumericId(uidText)
  const gid = parseNumericId(gidText)
  if (uid === undefined || gid === undefined || uid !== (wanted ?? uid)) return undefined
  if ([name, home, shell].some((field) => (field?.length ?? 0) > MAX_FIELD_BYTES)) return undefined
  return { name: text(name), uid, gid, home: text(home), shell: text(shell) }
}

function groupId(line: string): number | undefined {
  const fields = line.split(':', 5)
  const [name, , gid] = fields
  return fields.length === 4 && isName(name) && gid !== undefined ? parseNumericId(gid) : undefined
}

/** NIS compat lines (+user, -user) name nobody, and comments are no entries. */
function isName(name: string | undefined): name is string {
  return name !== undefined && name !== '' && !/^[+\-#]/.test(name)
}

/** A field of a line, as what its bytes mean. */
function text(field = ''): string {
  return textOf(Buffer.from(field, 'latin1'))
}

/**
 * Lines as the engines see them: trimmed of white space at both ends; a character of theirs is a byte. Only those that
 * the pattern is found to be the whole of: a file of a million others holds nobody up.
 */
function* lines(file: Buffer, pattern: string): Generator<string> {
  for (const [line] of file.toString('latin1').matchAll(new RegExp(START + pattern, 'g'))) yield trimmed(line)
}

/** Not trim(), which would take the byte A0, too: it may be the end of a letter. */
function trimmed(line: string): string {
  let [start, end] = [0, line.length]
  while (start < end && isBlank(line.charCodeAt(start))) start++
  while (start < end && isBlank(line.charCodeAt(end - 1))) end--
  return line.slice(start, end)
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)
}
