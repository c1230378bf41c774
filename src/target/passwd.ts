/**
 * passwd(5) and group(5), read as strictly as the engines read them loosely: Docker and Podman run a line with a missing
 * or non-numeric uid as uid 0 (measured: "+@ldap::::::", "dev:x:abc:1"), so the first line that carries the name decides,
 * and it must be whole. The file comes from the container: hostile, any size, any bytes.
 */

export interface PasswdEntry {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
  readonly shell: string
}

/** `broken`: a line has the name but is no valid entry. */
export type Lookup = PasswdEntry | 'broken' | undefined

/** The engines' own limit on ids (runc libcontainer/user, maxID). */
const MAX_ID = 2 ** 31 - 1

export function findByName(passwd: string, name: string): Lookup {
  // "dev:root" is user and group to an engine, and no name.
  if (name === '' || name !== name.trim() || /[:\n]/.test(name)) return undefined
  for (const line of lines(passwd)) {
    if (line !== name && !line.startsWith(`${name}:`)) continue
    return parseLine(line) ?? 'broken'
  }
  return undefined
}

/** The first valid entry with that uid, as getpwuid(3). */
export function findByUid(passwd: string, uid: number): PasswdEntry | undefined {
  for (const line of lines(passwd)) {
    const entry = parseLine(line)
    if (entry?.uid === uid) return entry
  }
  return undefined
}

/** A uid or gid in decimal, or undefined. */
export function parseId(text: string): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined
  const id = Number(text)
  return id <= MAX_ID ? id : undefined
}

function parseLine(line: string): PasswdEntry | undefined {
  const fields = line.split(':')
  const [name, , uidText, gidText, , home, shell] = fields
  if (fields.length !== 7 || !name || uidText === undefined || gidText === undefined) return undefined
  // NIS compat lines (+user, -user) name nobody, and comments are no entries.
  if (/^[+\-#]/.test(name)) return undefined
  const uid = parseId(uidText)
  const gid = parseId(gidText)
  if (uid === undefined || gid === undefined) return undefined
  return { name, uid, gid, home: home ?? '', shell: shell ?? '' }
}

/** Lines as the engines see them: trimmed of white space at both ends. */
function* lines(text: string): Generator<string> {
  let start = 0
  while (start < text.length) {
    let end = text.indexOf('\n', start)
    if (end < 0) end = text.length
    const line = text.slice(start, end).trim()
    start = end + 1
    if (line !== '') yield line
  }
}
