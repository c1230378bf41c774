/**
 * As whom a container's programs run, with what environment and where, on what processor: the API does not tell (the user may
 * come from the image), so the container's shell is asked, once a run. What it says is the container's claim: it is bounded,
 * and both roads compare the user again when they start a program.
 */
import { HatchwayError } from '../../base/errors.ts'
import { BoundedMap } from '../../lifetime/bounded-map.ts'
import { withDeadline } from '../../lifetime/deadline.ts'
import { onAbort, unlessAborted } from '../../lifetime/on-abort.ts'
import type { Exec, ExecSpec, OutputSink } from '../engine.ts'
import { engineLimit } from '../messages.ts'
import { OWN_PATH, OWN_SHELL } from '../own-path.ts'

export interface OwnIdentity {
  /** "uid:gid"; "" where there is no shell to ask. */
  readonly user: string
  readonly env: readonly string[]
  readonly workdir: string
  /** Node's spelling; undefined: not told. */
  readonly arch: string | undefined
}

const LIMIT_MS = 12_000
const MAX_BYTES = 256 * 1024
const MAX_RUNS = 4096
/** A container without a shell may be given one. */
const WITHOUT_SHELL_MS = 30_000

/** The environment that the engine gave this shell, before the shell changes it. */
const SCRIPT = `
hw_env=/proc/$$/environ PATH=${OWN_PATH}
while read -r hw_k hw_r hw_e hw_x; do
  case $hw_k in Uid:) hw_u=$hw_e ;; Gid:) hw_g=$hw_e ;; esac
done </proc/self/status
echo "hatchway $hw_u $hw_g"
uname -m
pwd
cat "$hw_env"
`

type Start = (spec: ExecSpec, sink: OutputSink, signal: AbortSignal) => Promise<Exec>

export interface OwnIdentities {
  /** @param runtimeId names one run of one container @throws HatchwayError ENGINE_*, CONTAINER_* */
  of(runtimeId: string, start: Start, signal: AbortSignal): Promise<OwnIdentity>
}

export function createOwnIdentities(limitMs = LIMIT_MS): OwnIdentities {
  const known = new BoundedMap<string, { readonly value: Promise<OwnIdentity>; until: number }>(MAX_RUNS)
  return {
    of(runtimeId, start, signal) {
      let entry = known.get(runtimeId)
      if (entry === undefined || entry.until <= Date.now()) {
        // Not the caller's signal: others wait for the same answer.
        const limit = engineLimit('asking the shell of the container', limitMs)
        const asked = {
          value: withDeadline(limit, [], (limited) => ask(start, limited)),
          until: Number.POSITIVE_INFINITY,
        }
        asked.value.then(
          ({ user }) => {
            if (user === '') asked.until = Date.now() + WITHOUT_SHELL_MS
          },
          () => {
            if (known.get(runtimeId) === asked) known.delete(runtimeId)
          },
        )
        known.set(runtimeId, asked)
        entry = asked
      }
      return unlessAborted(entry.value, signal)
    },
  }
}

async function ask(start: Start, signal: AbortSignal): Promise<OwnIdentity> {
  const chunks: Buffer[] = []
  let size = 0
  const enough = new AbortController()
  const sink: OutputSink = {
    write(fd, chunk) {
      if (fd !== 1 || size > MAX_BYTES) return true
      chunks.push(Buffer.from(chunk.subarray(0, MAX_BYTES + 1 - size)))
      size += chunk.length
      if (size > MAX_BYTES) enough.abort()
      return true
    },
  }
  const exec = await start({ argv: [OWN_SHELL, '-c', SCRIPT], user: '', cwd: '', env: [] }, sink, signal)
  const remove = onAbort(enough.signal, () => exec.close())
  try {
    await unlessAborted(exec.exit, signal)
    return parseIdentity(Buffer.concat(chunks).toString('utf8'))
  } finally {
    remove()
    exec.close()
  }
}

/** What cannot be read is nothing that is known. */
export function parseIdentity(said: string): OwnIdentity {
  const [, uid, gid, machine = '', workdir = '', environment = ''] =
    /^hatchway (\d{1,10}) (\d{1,10})\n(?:(\S{1,40})\n)?(\/[^\n]*)\n(.*)$/s.exec(said) ?? []
  if (uid === undefined || gid === undefined) return { user: '', env: [], workdir: '', arch: undefined }
  const env = environment.split('\0').filter((entry) => entry.indexOf('=') > 0)
  return { user: `${uid}:${gid}`, env, workdir, arch: ARCHITECTURES[machine] }
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x86_64: 'x64', aarch64: 'arm64', arm64: 'arm64' }

/** For an image in which nothing of ours can start. */
export function noShell(name: string): HatchwayError {
  const sentence = `container ${name} has no ${OWN_SHELL}, and there is no other way into it`
  return new HatchwayError('NOT_SUPPORTED', sentence)
}
