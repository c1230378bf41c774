/**
 * How many programs were started in a container by execs: no API tells, so its shell is asked. Processes whose parent is outside
 * are the container's own first one, those of execs, and this shell. Those of other containers, where a pod's share their
 * processes, are in other cgroups.
 */

import { unlessAborted } from '../../lifetime/on-abort.ts'
import type { Exec, ExecSpec, OutputSink } from '../engine.ts'
import { OWN_PATH, OWN_SHELL } from '../own-path.ts'

const SCRIPT = `
PATH=${OWN_PATH}
hw_own=$(cat /proc/$$/cgroup)
hw_count=0
for hw_dir in /proc/[0-9]*; do
  hw_parent= hw_state=
  while read -r hw_k hw_v hw_x; do
    case $hw_k in PPid:) hw_parent=$hw_v ;; State:) hw_state=$hw_v ;; Uid:) break ;; esac
  done 2>/dev/null <"$hw_dir/status" || continue
  case $hw_state in Z|X) continue ;; esac
  [ "$hw_parent" = 0 ] && [ "$(cat "$hw_dir/cgroup" 2>/dev/null)" = "$hw_own" ] && hw_count=$((hw_count + 1))
done
echo "hatchway $hw_count"
`

type Start = (spec: ExecSpec, sink: OutputSink, signal: AbortSignal) => Promise<Exec>

const MAX_TEXT = 1000

/** Undefined: it has no shell to ask, so that nobody's login is in it either. */
export async function execsInside(start: Start, signal: AbortSignal): Promise<number | undefined> {
  let said = ''
  const sink: OutputSink = {
    write(fd, chunk) {
      if (fd === 1 && said.length < MAX_TEXT) said += chunk.toString('latin1').slice(0, MAX_TEXT)
      return true
    },
  }
  const exec = await start({ argv: [OWN_SHELL, '-c', SCRIPT], user: '', cwd: '', env: [] }, sink, signal)
  try {
    await unlessAborted(exec.exit, signal)
  } finally {
    exec.close()
  }
  const [, count] = /^hatchway (\d{1,6})$/m.exec(said) ?? []
  // Its own first process and this shell.
  return count === undefined ? undefined : Math.max(0, Number(count) - 2)
}
