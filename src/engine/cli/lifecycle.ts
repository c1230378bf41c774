/** Containers started, stopped, made and removed by the CLI's commands of the same names (engine.ts `Lifecycle`). */
import { spawn } from 'node:child_process'
import { z } from 'zod'
import { deadline } from '../../lifetime/deadline.ts'
import { deferred } from '../../lifetime/deferred.ts'
import { onAbort } from '../../lifetime/on-abort.ts'
import type { ContainerSpec, Lifecycle } from '../engine.ts'
import { parseExecIds, readJson } from '../json.ts'
import { limited, parseLimits } from '../limits.ts'
import { readLines } from '../lines.ts'
import { engineError, imageMissing, imageUnavailable, isDependedOn, isRemoved } from '../messages.ts'
import { createPullCounter } from '../pull-counter.ts'
import { removeCliHolders } from './holders.ts'
import { type Cli, cliMessage } from './run.ts'

const START_MS = 60_000
const CREATE_MS = 60_000
const LOG_BYTES = 16 * 1024
const ERROR_BYTES = 4096

/** `running`: how many programs of ours run in a container. */
export function cliLifecycle(cli: Cli, name: (id: string) => string, running: (id: string) => number): Lifecycle {
  async function change(args: readonly string[], ref: string, deadline: number, signal: AbortSignal) {
    await cli.must([...args, ref], { signal, deadline }, { container: name(ref) })
  }

  async function remove(ref: string, signal: AbortSignal): Promise<void> {
    const once = () => change(['rm', '--force', '--volumes'], ref, START_MS, signal)
    try {
      await once().catch(async (error: unknown) => {
        if (!isDependedOn(error)) throw error
        await removeCliHolders(cli, ref, signal)
        await once()
      })
    } catch (error) {
      if (!isRemoved(error)) throw error
    }
  }

  async function inspected<T>(id: string, signal: AbortSignal, parse: (json: unknown) => T): Promise<T> {
    const stdout = await cli.must(['inspect', '--type', 'container', id], { signal }, { container: name(id) })
    return readJson(stdout, (json) => parse(z.array(z.unknown()).min(1).parse(json)[0]))
  }

  return {
    start: (id, signal) => change(['start'], id, START_MS, signal),
    unpause: (id, signal) => change(['unpause'], id, START_MS, signal),
    stop: (id, grace, signal) => change(['stop', '-t', String(grace)], id, grace * 1000 + START_MS, signal),

    remove,

    // The ids of our own execs are the CLI's secret, so they are counted: what the CLIs list has not ended.
    async othersInside(id, signal) {
      return (await inspected(id, signal, parseExecIds)).length > running(id)
    },
    anyInside: async (id, signal) => (await inspected(id, signal, parseExecIds)).length > 0,

    async logs(id, lines, signal) {
      const args = ['logs', '--tail', String(lines), id]
      const { code, stdout, stderr } = await cli.run(args, { signal, limit: LOG_BYTES })
      return code === 0 ? `${stdout.toString('utf8')}${stderr}` : ''
    },

    async create(spec, signal) {
      const { code, stdout, stderr } = await cli.run(createArguments(spec), { signal, deadline: CREATE_MS })
      if (code !== 0) {
        const error = engineError(cliMessage(stderr), {})
        throw imageMissing(error, spec.image) ?? error
      }
      const id = stdout.toString('utf8').trim().split('\n').at(-1) ?? ''
      const made = () => inspected(id, signal, parseLimits)
      await limited(spec, made, stderr.split('\n'), () => remove(id, deadline(START_MS)))
      return id
    },

    async pull(image, progress, signal) {
      signal.throwIfAborted()
      const child = spawn(cli.binary, cli.argv(['pull', image]), { stdio: ['ignore', 'pipe', 'pipe'] })
      const stop = () => child.kill('SIGKILL')
      const remove = onAbort(signal, stop)
      const counter = createPullCounter()
      let errors = ''
      child.stderr.on('data', (chunk: Buffer) => {
        errors = (errors + chunk.toString('utf8')).slice(-ERROR_BYTES)
      })
      const ended = deferred<number | null>()
      child.once('error', (error) => {
        errors = error.message
        ended.resolve(null)
      })
      child.once('close', ended.resolve)
      try {
        for await (const line of readLines(child.stdout)) {
          // Without a terminal: "a1b2c3d4e5f6: Pull complete".
          const [, id, status] = /^([0-9a-f]{12}): (.*)$/.exec(line) ?? []
          if (counter.add({ id, status })) progress(counter.progress())
        }
        const code = await ended.promise
        signal.throwIfAborted()
        if (code !== 0) throw imageUnavailable(image, cliMessage(errors.trim().split('\n').at(-1) ?? ''))
      } finally {
        remove()
        stop()
      }
    },
  }
}

/** Values follow an "=", so none can be taken for an option; the image has no leading dash by its schema. */
function createArguments(spec: ContainerSpec): string[] {
  const [program, ...rest] = spec.argv ?? []
  const given = (flag: string, value: string | number | undefined) => (value === undefined ? [] : [`${flag}=${value}`])
  return [
    'create',
    '--pull=never',
    `--name=${spec.name}`,
    ...given('--user', spec.user),
    ...given('--workdir', spec.workdir),
    ...spec.env.map((entry) => `--env=${entry}`),
    ...Object.entries(spec.labels).map(([key, value]) => `--label=${key}=${value}`),
    ...spec.mounts.map((mount) => `--mount=${mountOption(mount)}`),
    ...given('--network', spec.network),
    ...given('--memory', spec.memory),
    ...given('--cpus', spec.cpus),
    ...given('--pids-limit', spec.pids),
    ...(spec.init ? ['--init'] : []),
    ...given('--entrypoint', program),
    spec.image,
    ...rest,
  ]
}

function mountOption({ type, source, target, readOnly }: ContainerSpec['mounts'][number]): string {
  const fields = [`type=${type}`, ...(source === undefined ? [] : [`source=${source}`]), `target=${target}`]
  // The value is a line of CSV to the CLIs.
  return [...fields, ...(readOnly ? ['readonly'] : [])]
    .map((field) => (/[",\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field))
    .join(',')
}
