/**
 * sshd's StrictModes (misc.c, safe_path): others must not be able to write a file that decides who may log in, nor any
 * directory above it, up to the home directory or the root.
 */
import { readFileSync, type Stats, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { PACKAGE_ROOT } from '../base/package-root.ts'
import { mustBeOfTheFile } from './undecided.ts'

const STICKY = 0o1000
/** Read once: the program's files may be replaced under a running gateway. */
const PROGRAM_OWNER = statSync(PACKAGE_ROOT).uid

/** Returns why `path` (resolved, no links) cannot be trusted, or undefined. @throws stat(2)'s error for a directory above */
export function unsafe(path: string, stats: Stats, home: string): string | undefined {
  const self = badness(path, stats)
  if (self !== undefined) return self
  for (let directory = dirname(path); ; directory = dirname(directory)) {
    const above = statSync(directory)
    // /tmp: others may add names but not replace ours. sshd refuses it; tests and a container's /run live there.
    const sticky = (above.mode & STICKY) !== 0 && above.uid === 0
    const bad = sticky ? undefined : badness(directory, above)
    if (bad !== undefined) return bad
    if (directory === home || directory === dirname(directory)) return undefined
  }
}

function badness(path: string, stats: Stats): string | undefined {
  if (!trustedOwners().has(stats.uid)) return `${path} belongs to uid ${stats.uid}, not to you or root`
  const othersMay = (stats.mode & 0o002) !== 0
  const groupMay = (stats.mode & 0o020) !== 0 && !isPrivateGroup(stats.gid)
  if (othersMay || groupMay) return `${path} is writable by others (chmod go-w ${path})`
  return undefined
}

/** The gateway's user, root, and the owner of the gateway's program files, who could do worse than add a key. */
function trustedOwners(): ReadonlySet<number> {
  return new Set([0, process.getuid?.() ?? 0, PROGRAM_OWNER])
}

/** The group of one person (umask 002): a file writable by it is not writable by others, as for Debian's sshd. */
function isPrivateGroup(gid: number): boolean {
  if (gid === 0) return true
  try {
    const groups = table('/etc/group').filter((row) => row[2] === String(gid))
    const users = table('/etc/passwd').filter((row) => row[3] === String(gid))
    const user = users[0]?.[0]
    const members = groups.flatMap((row) => (row[3] ?? '').split(',')).filter((name) => name !== '' && name !== user)
    return users.length === 1 && groups.length > 0 && members.length === 0 && trustedOwners().has(Number(users[0]?.[2]))
  } catch (error) {
    mustBeOfTheFile('/etc/group', error)
    return false
  }
}

function table(file: string): string[][] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
}
