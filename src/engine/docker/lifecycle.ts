/** Containers started, stopped, made and removed over the Docker API (engine.ts `Lifecycle`). */
import { z } from 'zod'
import { HatchwayError, undefinedIf } from '../../base/errors.ts'
import { deadline } from '../../lifetime/deadline.ts'
import type { ContainerSpec, Lifecycle, OutputFd } from '../engine.ts'
import { splitImage } from '../image-ref.ts'
import { parseExecIds, parseExecState, parseMessage, parseObjectId } from '../json.ts'
import { limited, parseLimits } from '../limits.ts'
import { readLines } from '../lines.ts'
import { engineError, imageMissing, imageUnavailable, isDependedOn, isRemoved } from '../messages.ts'
import { createPullCounter } from '../pull-counter.ts'
import type { DockerApi } from './api.ts'
import { createDemux } from './demux.ts'
import { removeDockerHolders } from './holders.ts'

/** A start mounts, pulls networks up, waits for a slow disk. */
const START_MS = 60_000
const CREATE_MS = 60_000
/** A registry that does not answer is given up by the engine itself, after minutes. */
const PULL_ANSWER_MS = 180_000
const LOG_BYTES = 16 * 1024

export function dockerLifecycle(api: DockerApi): Lifecycle {
  /** `fine`: statuses that say that it is so already. */
  async function change(
    method: string,
    ref: string,
    path: string,
    fine: number,
    deadline: number,
    signal: AbortSignal,
  ) {
    const { prefix } = await api.version(signal)
    const answer = await api.http.call(method, `${prefix}/containers/${ref}${path}`, { signal, deadline })
    if (answer.status > 299 && answer.status !== fine) {
      throw engineError(parseMessage(answer.body), { container: api.name(ref) })
    }
  }

  async function remove(ref: string, signal: AbortSignal): Promise<void> {
    const once = () => change('DELETE', ref, '?force=true&v=true', 404, START_MS, signal)
    try {
      await once().catch(async (error: unknown) => {
        if (!isDependedOn(error)) throw error
        await removeDockerHolders(api, ref, signal)
        await once()
      })
    } catch (error) {
      if (!isRemoved(error)) throw error
    }
  }

  async function inside(id: string, counts: (exec: string) => boolean, signal: AbortSignal): Promise<boolean> {
    const about = { container: api.name(id) }
    const execs = await api.json('GET', `/containers/${id}/json`, { signal, about }, parseExecIds)
    // Podman lists what has ended as well, for five minutes; Docker what was made and never started.
    for (const exec of execs.filter(counts)) {
      const state = await api
        .json('GET', `/exec/${exec}/json`, { signal }, parseExecState)
        .catch(undefinedIf('ENGINE_ERROR'))
      if (state?.running) return true
    }
    return false
  }

  return {
    start: (id, signal) => change('POST', id, '/start', 304, START_MS, signal),
    unpause: (id, signal) => change('POST', id, '/unpause', 304, START_MS, signal),
    stop: (id, grace, signal) => change('POST', id, `/stop?t=${grace}`, 304, grace * 1000 + START_MS, signal),

    remove,

    othersInside: (id, signal) => inside(id, (exec) => !api.ownExecs.has(exec), signal),
    anyInside: (id, signal) => inside(id, () => true, signal),

    async logs(id, lines, signal) {
      const { prefix } = await api.version(signal)
      const path = `${prefix}/containers/${id}/logs?stdout=true&stderr=true&tail=${lines}`
      const { status, body } = await api.http.call('GET', path, { signal, limit: LOG_BYTES })
      return status === 200 ? unframed(body) : ''
    },

    async create(spec, signal) {
      const path = `/containers/create?name=${encodeURIComponent(spec.name)}`
      const options = { signal, json: createBody(spec), deadline: CREATE_MS }
      const { id, warnings } = await api.json('POST', path, options, parseCreated).catch((error: unknown) => {
        throw imageMissing(error, spec.image) ?? error
      })
      const made = () => api.json('GET', `/containers/${id}/json`, { signal }, parseLimits)
      await limited(spec, made, warnings, () => remove(id, deadline(START_MS)))
      return id
    },

    async pull(image, progress, signal) {
      const { prefix } = await api.version(signal)
      const { name, tag } = splitImage(image)
      const query = `fromImage=${encodeURIComponent(name)}&tag=${encodeURIComponent(tag)}`
      const response = await api.http.open('POST', `${prefix}/images/create?${query}`, signal, PULL_ANSWER_MS)
      const counter = createPullCounter()
      let failed: string | undefined
      try {
        for await (const line of readLines(response)) {
          const said = pullLine.safeParse(parseLine(line))
          if (!said.success) continue
          failed ??= said.data.error ?? (response.statusCode === 200 ? undefined : said.data.message)
          if (counter.add(said.data)) progress(counter.progress())
        }
      } catch (error) {
        signal.throwIfAborted()
        failed ??= error instanceof Error ? error.message : 'the answer was cut off'
      } finally {
        response.destroy()
      }
      if (response.statusCode !== 200) failed ??= `status ${response.statusCode}`
      if (failed !== undefined) throw imageUnavailable(image, failed)
    },
  }
}

const createWarnings = z.object({ Warnings: z.array(z.string()).nullish().catch([]) })

function parseCreated(json: unknown) {
  return { id: parseObjectId(json), warnings: createWarnings.parse(json).Warnings ?? [] }
}

const pullLine = z.object({
  id: z.string().optional(),
  status: z.string().optional(),
  error: z.string().optional(),
  message: z.string().optional(),
  progressDetail: z.object({ current: z.number().optional(), total: z.number().optional() }).optional(),
})

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

function createBody(spec: ContainerSpec): object {
  const [program, ...rest] = spec.argv ?? []
  return {
    Image: spec.image,
    ...(program !== undefined && { Entrypoint: [program], Cmd: rest }),
    ...(spec.user !== undefined && { User: spec.user }),
    ...(spec.workdir !== undefined && { WorkingDir: spec.workdir }),
    Env: spec.env,
    Labels: spec.labels,
    HostConfig: {
      Init: spec.init,
      ...(spec.network !== undefined && { NetworkMode: spec.network }),
      ...(spec.memory !== undefined && { Memory: spec.memory }),
      ...(spec.cpus !== undefined && { NanoCpus: Math.round(spec.cpus * 1e9) }),
      ...(spec.pids !== undefined && { PidsLimit: spec.pids }),
      // Mounts, not Binds: a source that the engine cannot see is an error there, not a new empty folder on its host.
      Mounts: spec.mounts.map((mount) => ({
        Type: mount.type,
        ...(mount.source !== undefined && { Source: mount.source }),
        Target: mount.target,
        ReadOnly: mount.readOnly,
      })),
    },
  }
}

/** A container with a terminal writes its log without frames. */
function unframed(body: Buffer): string {
  const parts: Record<OutputFd, Buffer[]> = { 1: [], 2: [] }
  try {
    createDemux((fd, chunk) => {
      parts[fd].push(chunk)
      return true
    }).feed(body)
    return Buffer.concat([...parts[1], ...parts[2]]).toString('utf8')
  } catch (error) {
    if (error instanceof RangeError) return body.toString('utf8')
    throw new HatchwayError('ENGINE_ERROR', 'the container’s log cannot be read', { cause: error })
  }
}
