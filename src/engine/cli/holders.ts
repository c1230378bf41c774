/** Holder containers by `docker run` (engine.ts `Holders`). The CLI ends them with itself: -i, --rm. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { HatchwayError } from '../../base/errors.ts'
import { oneLine } from '../../base/printable.ts'
import { deadline } from '../../lifetime/deadline.ts'
import { onAbort } from '../../lifetime/on-abort.ts'
import type { HolderSpec, Holders } from '../engine.ts'
import { HOLDER_LABEL, HOLDER_LIMITS, HOLDER_MAX_AGE_S, withCpuLimit, withImage } from '../holder-start.ts'
import type { Cli } from './run.ts'

const START_MS = 20_000
const MAX_TEXT_BYTES = 4096

export function cliHolders(cli: Cli): Holders {
  async function start(spec: HolderSpec, cpu: boolean, signal: AbortSignal) {
    const name = `hatchway-holder-${randomBytes(8).toString('hex')}`
    const child = spawn(cli.binary, cli.argv(runArguments(spec, name, cpu)), { stdio: ['pipe', 'pipe', 'pipe'] })
    const close = async () => {
      child.stdin.destroy()
      child.kill('SIGKILL')
      await cli.run(['rm', '--force', name], { signal: deadline(START_MS) }).catch(() => undefined)
    }
    const limit = deadline(START_MS, signal)
    try {
      const firstLine = await new Promise<string>((resolve, reject) => {
        let out = ''
        let err = ''
        onAbort(limit, reject)
        child.on('error', reject)
        child.stdin.on('error', () => {})
        child.stdout.on('data', (chunk: Buffer) => {
          if (out.length < MAX_TEXT_BYTES) out += chunk.toString('latin1')
          if (out.includes('\n')) resolve(out.slice(0, out.indexOf('\n')))
        })
        child.stderr.on('data', (chunk: Buffer) => {
          if (err.length < MAX_TEXT_BYTES) err += chunk.toString('utf8')
        })
        child.on('close', () => {
          const cause = new Error(oneLine(err))
          reject(new HatchwayError('ENGINE_ERROR', `the holder ended: ${cause.message}`, { cause }))
        })
      })
      return { firstLine, close }
    } catch (error) {
      await close()
      throw error
    }
  }

  return {
    async start(spec, signal) {
      const { repository, tag, tar } = spec.image
      const bring = () => cli.must(['import', '-', `${repository}:${tag}`], { signal, input: tar }, {})
      return withCpuLimit((cpu) => withImage(repository, () => start(spec, cpu, signal), bring))
    },

    async sweep(signal) {
      let swept = 0
      for (const id of await holders(cli, HOLDER_LABEL, signal)) {
        const { code, stdout } = await cli.run(['inspect', '--format', '{{.Created}}', id], { signal })
        const age = (Date.now() - Date.parse(stdout.toString().trim())) / 1000
        if (code !== 0 || !(age > HOLDER_MAX_AGE_S)) continue
        await cli.run(['rm', '--force', id], { signal })
        swept += 1
      }
      return swept
    },

    async forget(repository, signal) {
      const { stdout } = await cli.run(['image', 'ls', '--format', '{{.Repository}}:{{.Tag}}', repository], { signal })
      const tags = stdout.toString().trim()
      for (const tag of tags === '' ? [] : tags.split('\n')) await cli.run(['image', 'rm', tag], { signal })
    },
  }
}

function runArguments(spec: HolderSpec, name: string, cpu: boolean): string[] {
  const { memoryBytes, pids, cpuPeriodUs, cpuQuotaUs } = HOLDER_LIMITS
  const [program, ...rest] = spec.argv
  return [
    'run',
    '--interactive',
    '--rm',
    // Never a registry's image of that name.
    '--pull=never',
    `--name=${name}`,
    `--label=${HOLDER_LABEL}=${spec.containerId}`,
    `--pid=container:${spec.containerId}`,
    '--network=none',
    '--read-only',
    '--cap-drop=ALL',
    '--security-opt=no-new-privileges',
    '--log-driver=none',
    ...(spec.userns !== undefined ? [`--userns=${spec.userns}`] : []),
    `--memory=${memoryBytes}`,
    `--memory-swap=${memoryBytes}`,
    `--pids-limit=${pids}`,
    ...(cpu ? [`--cpu-period=${cpuPeriodUs}`, `--cpu-quota=${cpuQuotaUs}`] : []),
    `--user=${spec.user}`,
    ...(spec.mount
      ? ['--mount', `type=bind,source=${spec.mount.source},target=${spec.mount.destination},readonly`]
      : []),
    `--entrypoint=${program}`,
    `${spec.image.repository}:${spec.image.tag}`,
    ...rest,
  ]
}

/** Those of any gateway beside this container, given by its full id. */
export async function removeCliHolders(cli: Cli, containerId: string, signal: AbortSignal): Promise<void> {
  const ids = await holders(cli, `${HOLDER_LABEL}=${containerId}`, signal)
  if (ids.length > 0) await cli.run(['rm', '--force', ...ids], { signal })
}

async function holders(cli: Cli, label: string, signal: AbortSignal): Promise<string[]> {
  const stdout = await cli.must(['ps', '--all', '--quiet', '--no-trunc', '--filter', `label=${label}`], { signal }, {})
  return stdout.toString().split('\n').filter(Boolean)
}
