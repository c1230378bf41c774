/**
 * From a session's start request to the program to run, as sshd's do_child() does it (session.c): no command: the login
 * shell with "-" before its name; a command: `shell -c` with the client's bytes untouched. Pure.
 */
import path from 'node:path'
import type { SessionStart } from '../ssh/session.ts'
import type { EnvInfo } from './envinfo.ts'

export interface SessionProgram {
  /** Absolute path of the shell, as passwd has it. */
  readonly shell: string
  /** What to try when it is missing or not executable inside. */
  readonly fallbackShells: readonly string[]
  /** The shell is there to keep its user from most programs: without it nothing is run in its place. */
  readonly restricted: boolean
  /** Bytes for `shell -c`; absent: a login shell. */
  readonly command?: Buffer
  readonly env: readonly string[]
  /** Home; where it cannot be entered the program starts in "/" after this line on stderr (the errno's text follows). */
  readonly cwd: string
  readonly cwdWarning: string
}

const FALLBACK_SHELLS = ['/bin/bash', '/bin/sh']

export function sessionProgram(
  start: SessionStart,
  info: EnvInfo,
  env: readonly string[],
  restricted = false,
): SessionProgram {
  const program = {
    shell: info.shell,
    fallbackShells: restricted ? [] : FALLBACK_SHELLS.filter((shell) => shell !== info.shell),
    restricted,
    env,
    cwd: info.home,
    cwdWarning: `Could not chdir to home directory ${info.home}`,
  }
  return start.kind === 'exec' ? { ...program, command: start.command } : program
}

/** argv for one of the program's shells; the login shell's argv[0] is "-bash". */
export function shellArgv(program: SessionProgram, shell: string): [string, ...(string | Buffer)[]] {
  const name = path.posix.basename(shell)
  return program.command ? [name, '-c', program.command] : [`-${name}`]
}

/** git-shell, rbash, a program in the place of a shell: whatever is not among those that run anything. */
export function isRestricted(shell: string, unrestricted: readonly string[]): boolean {
  return !unrestricted.includes(path.posix.basename(shell))
}

/** Shells that mean "may not log in"; sshd runs them, and what they print is all one gets (nologin(8)). */
export function refusesLogin(shell: string): boolean {
  return ['nologin', 'false'].includes(path.posix.basename(shell))
}
