/**
 * Programs at the container's end that clients start by name and many images lack. Where there is a guest helper it
 * stands in for scp and sftp-server (its own program is descriptor 3); else, and for rsync, the user reads what is
 * missing and what to use instead. The client's command itself stays untouched, but for a path of scp's: only a prelude comes
 * before it, and only for shells whose grammar it is.
 */
import path from 'node:path'

const POSIX_SHELLS = ['sh', 'bash', 'dash', 'ash', 'zsh', 'ksh', 'mksh']
/**
 * What clients send, at the start of the command: `scp -t ...`, `'/usr/bin/scp' -t ...`, `rsync --server ...`,
 * `exec /usr/lib/openssh/sftp-server`.
 */
const WANTED =
  /^\s*(?:(['"]?)((?:\/[\w.-]+)*\/?(scp|rsync))\1(?=\s)|(?:exec\s+)?(['"]?)((?:\/[\w.-]+)*\/?sftp-server)\4(?:\s|$))/

/** A function cannot be called by a path, so one named scp calls it where it is there. */
const scp = (program: string) => `if command -v ${program} >/dev/null 2>&1; then exec 3<&-${
  program === 'scp' ? '' : `; scp() { ${program} "$@"; }`
}
elif [ -e /proc/self/fd/3 ]; then scp() { /proc/self/fd/3 scp "$@"; }
else echo "hatchway: no scp in this container; scp without -O, or sftp, may work" >&2; exit 127; fi
`
const rsync = (program: string) => `command -v ${program} >/dev/null 2>&1 || {
echo "hatchway: no rsync in this container; scp and sftp work, or install rsync inside" >&2; exit 127; }
`
const sftpServer = (program: string) => `if command -v ${program} >/dev/null 2>&1; then exec 3<&-
elif [ -e /proc/self/fd/3 ]; then exec /proc/self/fd/3 sftp-server
else echo "hatchway: no sftp-server in this container" >&2; exit 127; fi
`

export interface StandIn {
  readonly command: Buffer
  /** The prelude looks for the helper's program on descriptor 3. */
  readonly wantsHelper: boolean
}

/** The command with its prelude; undefined: it needs none. */
export function standIn(command: Buffer | undefined, shell: string): StandIn | undefined {
  if (!command || !POSIX_SHELLS.includes(path.posix.basename(shell))) return undefined
  const match = WANTED.exec(command.subarray(0, 256).toString('latin1'))
  if (!match) return undefined
  const [start, , program = '', tool, , server] = match
  if (server !== undefined) return { command: after(sftpServer(server), command), wantsHelper: true }
  if (tool === 'rsync') return { command: after(rsync(program), command), wantsHelper: false }
  const named = program === 'scp' ? command : Buffer.concat([Buffer.from('scp'), command.subarray(start.length)])
  return { command: after(scp(program), named), wantsHelper: true }
}

function after(prelude: string, command: Buffer): Buffer {
  return Buffer.concat([Buffer.from(prelude), command])
}
