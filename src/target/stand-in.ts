/**
 * Programs at the container's end that clients start by name and many images lack. Where there is a guest helper it
 * stands in for scp and sftp-server (its own program is descriptor 3); else, and for rsync, the user reads what is
 * missing and what to use instead. The client's command itself stays untouched: only a prelude comes before it, and only
 * for shells whose grammar it is.
 */
import path from 'node:path'

const POSIX_SHELLS = ['sh', 'bash', 'dash', 'ash', 'zsh', 'ksh', 'mksh']
/** `scp -t ...`, `rsync --server ...`, `/usr/lib/openssh/sftp-server`: what clients send, at the start of the command. */
const WANTED = /^\s*(?:(scp|rsync)\s|((?:\/[\w.-]+)*\/?sftp-server)(?:\s|$))/

const SCP = `if command -v scp >/dev/null 2>&1; then exec 3<&-
elif [ -e /proc/self/fd/3 ]; then scp() { /proc/self/fd/3 scp "$@"; }
else echo "hatchway: no scp in this container; scp without -O, or sftp, may work" >&2; exit 127; fi
`
const RSYNC = `command -v rsync >/dev/null 2>&1 || {
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
  const [, tool, server] = match
  const prelude = tool === 'rsync' ? RSYNC : tool === 'scp' ? SCP : sftpServer(server ?? '')
  return { command: Buffer.concat([Buffer.from(prelude), command]), wantsHelper: tool !== 'rsync' }
}
