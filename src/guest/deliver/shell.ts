/**
 * One exec: the container's shell reads the binary from its stdin into a file without a name, and becomes it. The file is
 * created by O_EXCL, held by a descriptor and unlinked while it is empty; it is made executable, written and executed
 * through /proc/self/fd. No name is looked up twice, so nobody who can rename in that directory, be it its owner, can put
 * another file there. A process of the same user still can write to it (or trace the shell): it gains that user in that
 * container, which it has (docs/security.md).
 */
import { randomBytes } from 'node:crypto'
import type { Mount } from '../../engine/engine.ts'
import { OWN_PATH, OWN_SHELL } from '../../engine/own-path.ts'
import { isLeftRunning } from '../handshake.ts'
import { NAME_PREFIX } from './binary.ts'
import { LeftRunning } from './left-running.ts'
import type { Way } from './way.ts'

/**
 * /dev is a tmpfs of the container's own where root may write and execute, also with --read-only; the others are for
 * those who may not. "" is the root directory; $HOME comes after them all.
 */
const DIRECTORIES = ['/dev', '', '/tmp', '/var/tmp', '/dev/shm', '/run']

/**
 * What noclobber opens is a new regular file or no regular file at all (a device behind a link): that is let alone.
 * `command` keeps a failed redirection from ending the shell. An empty file is "executed" by the shell itself unless its
 * mount is noexec (EACCES) or somebody has it open for writing (ETXTBSY): so a directory is tried before the binary is read.
 * `head` may read ahead: nothing follows the binary on stdin before HELLO. It ends early when the gateway dies, and what is
 * not whole is not executed. An empty line on stderr says that the shell is there and has got so far. The helper closes descriptor 3 before all else; it gets the container's PATH, which is the one
 * of the programs that it will run.
 */
const SCRIPT = [
  `umask 077; set -C; hw_path=$PATH PATH=${OWN_PATH} name=$1 size=$2 as=$3; shift 3`,
  'for d in "$@" "$HOME"; do',
  '  [ ! -L "$d" ] && { command exec 4>"$d/$name"; } 2>/dev/null || continue',
  '  exec 3<&-; { command exec 3</proc/self/fd/4; } 2>/dev/null; exec 4>&-',
  '  rm -f "$d/$name"; [ -f /proc/self/fd/3 ] && chmod 755 /proc/self/fd/3 && /proc/self/fd/3 2>/dev/null || continue',
  '  echo >&2; head -c "$size" >|/proc/self/fd/3; [ "$(wc -c </proc/self/fd/3)" -eq "$size" ] && PATH=$hw_path && exec /proc/self/fd/3 serve $as',
  '  echo "the helper did not come whole" >&2; exit 126',
  'done',
  'echo "no directory to write and execute in" >&2; exit 126',
].join('\n')

export const byShell: Way = {
  name: 'shell',
  hopeless: () => undefined,
  // A tmpfs is noexec unless somebody asked for more, and /dev is root's.
  unlikely: ({ container, user }) => container.readOnlyRootfs && user.uid !== 0 && user.become === undefined,
  async deliver({ container, user, binary, serve }) {
    const name = `${NAME_PREFIX}${randomBytes(16).toString('hex')}`
    const own = DIRECTORIES.filter((directory) => !container.mounts.some((mount) => isShared(directory, mount)))
    const argv = [OWN_SHELL, '-c', SCRIPT, 'sh', name, String(binary.bytes.length), user.become ?? '', ...own] as const
    try {
      return await serve(argv, binary.bytes)
    } catch (error) {
      throw isLeftRunning(error) ? new LeftRunning(name, error) : error
    }
  },
}

/** With another container or the host: there somebody else is "the same user". */
function isShared(directory: string, { type, destination }: Mount): boolean {
  return type !== 'tmpfs' && `${directory}/`.startsWith(`${destination.replace(/\/+$/, '')}/`)
}
