/** A program in a container of any engine: what the engine's own exec cannot carry (ExecCarries) is made up for here. */
import { HatchwayError } from '../base/errors.ts'
import { type Engine, type Exec, type ExecSpec, engineOf, type OutputSink } from './engine.ts'
import { OWN_SHELL } from './own-path.ts'

/** $1 the directory or "", $2 how many variables follow, then they and the program, which takes the shell's place. */
const CARRIER = `
[ -z "$1" ] || cd -- "$1" 2>/dev/null || { echo "hatchway: $1: no such directory in the container" >&2; exit 126; }
hw_n=$2
shift 2
while [ "$hw_n" -gt 0 ]; do export "$1"; shift; hw_n=$((hw_n - 1)); done
unset hw_n
exec "$@"
`

/** A shell that is told to export another name ends; so does one to which it is readonly (bash); hw_n is the loop's own. */
const VARIABLE = /^(?!(?:hw_n|UID|EUID|PPID|BASHOPTS|SHELLOPTS|BASH_VERSINFO)=)[A-Za-z_]\w*=/

/** @throws HatchwayError as Engine.exec; NOT_SUPPORTED where the engine cannot start a program as this user */
export async function execIn(
  engine: Engine,
  containerId: string,
  spec: ExecSpec,
  sink: OutputSink,
  signal: AbortSignal,
): Promise<Exec> {
  return engine.exec(containerId, carried(engineOf(engine, containerId), spec), sink, signal)
}

/**
 * Variables need a shell to set them, which then also enters the directory. A program without them is started as it is,
 * wherever the engine starts it: an image may have no shell, and the helper needs no directory.
 */
function carried({ carries }: Engine, spec: ExecSpec): ExecSpec {
  if (carries === undefined) return spec
  if (carries.user === 'none' && spec.user !== '') {
    throw new HatchwayError(
      'NOT_SUPPORTED',
      'the engine of this container starts programs as the container’s own user only: name no other',
    )
  }
  const env = carries.env ? [] : spec.env
  const cwd = carries.cwd ? '' : spec.cwd
  const left = { ...spec, env: carries.env ? spec.env : [], cwd: carries.cwd ? spec.cwd : '' }
  if (env.length === 0 && (cwd === '' || cwd === '/')) return left
  const variables = env.filter((entry) => VARIABLE.test(entry))
  return { ...left, argv: [OWN_SHELL, '-c', CARRIER, 'sh', cwd, String(variables.length), ...variables, ...spec.argv] }
}
