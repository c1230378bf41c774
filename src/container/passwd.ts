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
  readonly shell: string
}

/** `broken`: a line has the name but is no valid entry. */
export type Lookup<Found> = Found | 'broken' | undefined

/** The engines' own limit on ids (runc libcontainer/user, maxID). */
const MAX_ID = 2 ** 31 - 1
/** PATH_MAX: the kernel enters no longer home and runs no longer shell, and a name is shorter. */
const MAX_FIELD_BYTES = 4096

export function findByName(passwd: Buffer, name: string): Lookup<PasswdEntry> {
  const line = lineOf(passwd, name)
  return line === undefined ? undefined : (passwdEntry(line) ?? 'broken')
}

/** The first valid entry with that uid, as getpwuid(3). */
export function findByUid(passwd: Buffer, uid: number): PasswdEntry | undefined {
  // Not "^" and "$" with the flag m, to which a CR divides lines as well.
  const candidate = new RegExp(
    `(?<![^\\n])[^:\\n]+:[^:\\n]*:0{0,9}${uid}:\\d{1,10}:[^:\\n]*:[^:\\n]*:[^:\\n]*(?![^\\n])`,
    'g',
  )
  for (const line of linesWith(passwd.toString('latin1'), (all, from) => search(candidate, all, from))) {
    const entry = passwdEntry(line, uid)
    if (entry) return entry
  }
  return undefined
}

/** The number of a group. */
export function findGroup(group: Buffer, name: string): Lookup<number> {
  const line = lineOf(group, name)
  return line === undefined ? undefined : (groupId(line) ?? 'broken')
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
  const named = (line: string) => line === wanted || line.startsWith(`${wanted}:`)
  for (const line of linesWith(file.toString('latin1'), (all, from) => all.indexOf(wanted, from))) {
    if (named(line)) return line
  }
  return undefined
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
 * Lines as the engines see them: trimmed of white space at both ends; a character of theirs is a byte. Only those in which
 * something is found, and each once: a file of a million lines holds nobody up.
 */
function* linesWith(all: string, find: (all: string, from: number) => number): Generator<string> {
  for (let found = find(all, 0); found >= 0; ) {
    const newline = all.indexOf('\n', found)
    const next = newline < 0 ? all.length : newline
    let start = all.lastIndexOf('\n', found) + 1
    let end = next
    // Not trim(), which would take the byte A0, too: it may be the end of a letter.
    while (start < end && isBlank(all.charCodeAt(start))) start++
    while (start < end && isBlank(all.charCodeAt(end - 1))) end--
    yield all.slice(start, end)
    found = next < all.length ? find(all, next + 1) : -1
  }
}

function search(pattern: RegExp, all: string, from: number): number {
  pattern.lastIndex = from
  return pattern.exec(all)?.index ?? -1
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)
}
