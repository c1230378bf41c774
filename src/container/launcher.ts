/** What the plain road's exec runs: a shell that does what the engine cannot, and becomes the session's program. */
import { HatchwayError } from '../base/errors.ts'
import type { WindowSize } from '../base/program.ts'
import { bytesOf, isUtf8Text, textOf } from '../bytes/byte-text.ts'
import type { ExecSpec } from '../engine/engine.ts'
import { OWN_PATH, OWN_SHELL } from '../engine/own-path.ts'
import type { EnvInfo } from './envinfo.ts'
import type { SessionProgram } from './program.ts'

/** The variable by which a session's processes are found again. */
export const COOKIE = 'HATCHWAY_SESSION'

/**
 * First $1 and $2, the uid and gid that were permitted: the engine takes a name, which passwd may give to another one by
 * now; $3 "" or "bytes": every text that follows is as printf's %b takes it. Then $1 home, $2 warning, $3 "rows R cols C" or
 * "", $4 shell, $5 "login" or "command", $6 command, $7 how many variables follow ("NAME" alone is unset); then shells to try.
 * It replaces itself (exec), so that the program is the exec's own process and its exit status the exec's; the cookie tells
 * by its pid which process that is. A variable of its own that the session has too would be changed there: hence hw_.
 */
const LAUNCHER = `
hw_path=$PATH PATH=${OWN_PATH}
hw_u= hw_g=
while read -r hw_k hw_i hw_r; do
  case $hw_k in Uid:) hw_u=$hw_i ;; Gid:) hw_g=$hw_i ;; esac
done 2>/dev/null </proc/self/status
hw_u=\${hw_u:-$(id -u)} hw_g=\${hw_g:-$(id -g)}
changed() { echo "hatchway: the user inside was $1 and is $2 now: connect again" >&2; exit 255; }
[ "$hw_u" = "$1" ] || changed "uid $1" "$hw_u"
[ "$hw_g" = "$2" ] || changed "in group $2" "in $hw_g"
hw_bytes=$3
shift 3
text() { hw_text=$1; [ -z "$hw_bytes" ] || { hw_text=$(printf '%b.' "$1") && hw_text=\${hw_text%.}; }; }
${COOKIE}=$${COOKIE}.$$
text "$1"
cd -- "$hw_text" 2>/dev/null || { text "$2"; echo "$hw_text" >&2; cd /; }
if [ -t 0 ]; then
  hw_tty=$(tty 2>/dev/null) && SSH_TTY=$hw_tty && export SSH_TTY
  [ -z "$3" ] || stty $3 2>/dev/null
fi
text "$4"; hw_shell=$hw_text
hw_how=$5
text "$6"; hw_command=$hw_text
hw_n=$7
shift 7
while [ "$hw_n" -gt 0 ]; do
  text "$1" && case $hw_text in
    PATH=*) hw_path=\${hw_text#PATH=} ;;
    *=*) export "$hw_text" ;;
    *) unset "$hw_text" ;;
  esac
  shift; hw_n=$((hw_n - 1))
done
while ! [ -x "$hw_shell" ]; do
  [ $# -gt 0 ] || { echo "$hw_shell: no such shell" >&2; exit 127; }
  hw_shell=$1; shift
done
PATH=$hw_path
[ "$hw_how" = login ] || exec "$hw_shell" -c "$hw_command"
case $hw_shell in
  */bash | */zsh | */ksh) exec "$hw_shell" -c 'exec -a "-\${0##*/}" "$0"' "$hw_shell" ;;
  *) exec "$hw_shell" -l ;;
esac
`

/** The exec of a program. The engine's interface takes text only: what is none, and what it cannot unset, the launcher sets. */
export function launch(
  program: SessionProgram,
  user: Pick<EnvInfo, 'uid' | 'gid'>,
  tty: WindowSize | undefined,
  cookie: string,
): Pick<ExecSpec, 'argv' | 'env'> {
  const { cwd, cwdWarning, shell, fallbackShells } = program
  const command = program.command ? textOf(program.command) : ''
  const own = program.env.filter(needsLauncher)
  const texts = [cwd, cwdWarning, shell, command, ...own]
  // The launcher's shell would leave it out, and run what nobody was asked about.
  if (texts.some((plain) => plain.includes('\0'))) {
    throw new HatchwayError('COMMAND_NOT_EXECUTABLE', `${shell}: EINVAL`, { cause: new Error('a NUL byte') })
  }
  const areBytes = !texts.every(isUtf8Text)
  const text = areBytes ? escaped : (plain: string) => plain
  const size = tty ? `rows ${tty.rows} cols ${tty.cols}` : ''
  return {
    env: [...program.env.filter((entry) => !needsLauncher(entry)), `${COOKIE}=${cookie}`],
    argv: [
      ...([OWN_SHELL, '-c', LAUNCHER, 'sh'] as const),
      ...[String(user.uid), String(user.gid), areBytes ? 'bytes' : ''],
      ...[text(cwd), text(cwdWarning), size, text(shell), program.command ? 'command' : 'login', text(command)],
      ...[String(own.length), ...own.map(text), ...fallbackShells],
    ],
  }
}

/** A name that no shell has for a variable is left to the engine. */
function needsLauncher(entry: string): boolean {
  return /^[A-Za-z_]\w*(=|$)/.test(entry) && !(isUtf8Text(entry) && entry.includes('='))
}

/** As printf's %b reads it back (POSIX, printf). */
function escaped(text: string): string {
  return bytesOf(text)
    .toString('latin1')
    .replace(/[^\w/.-]/g, (byte) => `\\0${byte.charCodeAt(0).toString(8).padStart(3, '0')}`)
}
