/** Holder containers over the Docker API (engine.ts `Holders`). */
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { deadline } from '../../lifetime/deadline.ts'
import { deferred } from '../../lifetime/deferred.ts'
import { unlessAborted } from '../../lifetime/on-abort.ts'
import type { HolderSpec, Holders } from '../engine.ts'
import { HOLDER_LABEL, HOLDER_LIMITS, HOLDER_MAX_AGE_S, withCpuLimit, withImage } from '../holder-start.ts'
import { parseObjectId } from '../json.ts'
import { engineError } from '../messages.ts'
import type { DockerApi } from './api.ts'
import { createDemux } from './demux.ts'
import { hijack } from './hijack.ts'

const START_MS = 15_000
const MAX_FIRST_LINE_BYTES = 64

const listed = z.array(z.object({ Id: z.string(), Created: z.number() }))
const images = z.array(z.object({ RepoTags: z.array(z.string()).nullish() }))

export function dockerHolders(api: DockerApi): Holders {
  async function importImage(image: { repository: string; tag: string; tar: Buffer }, signal: AbortSignal) {
    // Not by `tag`: Podman 4 does not read it, and the image would be "latest".
    const query = `fromSrc=-&repo=${encodeURIComponent(`${image.repository}:${image.tag}`)}`
    // The answer is a stream of progress objects; the next create tells whether it worked.
    await api.json('POST', `/images/create?${query}`, { signal, tar: image.tar }, nothing)
  }

  function remove(id: string): Promise<void> {
    const signal = deadline(START_MS)
    return api.json('DELETE', `/containers/${id}?force=true&v=true`, { signal }, nothing).catch(() => undefined)
  }

  async function start(spec: HolderSpec, cpu: boolean, signal: AbortSignal) {
    const name = `hatchway-holder-${randomBytes(8).toString('hex')}`
    const body = createBody(spec, cpu)
    const create = () => api.json('POST', `/containers/create?name=${name}`, { signal, json: body }, parseObjectId)
    // By its name: a create that was given up may have made it all the same.
    let close: () => Promise<void> = () => remove(name)
    try {
      const id = await withImage(spec.image.repository, create, () => importImage(spec.image, signal))
      const { prefix } = await api.version(signal)
      const { promise: firstLine, resolve: heard, reject: silent } = deferred<string>()
      firstLine.catch(() => {})
      let text = ''
      const demux = createDemux((_fd, chunk) => {
        // What follows the first line, or is no line, may be any amount.
        if (text.includes('\n') || text.length > MAX_FIRST_LINE_BYTES) return true
        text += chunk.toString('latin1', 0, MAX_FIRST_LINE_BYTES)
        if (text.includes('\n')) heard(text.slice(0, text.indexOf('\n')))
        else if (text.length > MAX_FIRST_LINE_BYTES) silent(new Error('the holder said something else'))
        return true
      })
      const stream = await hijack(api.address, {
        path: `${prefix}/containers/${id}/attach?stream=1&stdin=1&stdout=1&stderr=1`,
        json: {},
        signal,
        deadline: START_MS,
        refused: (words) => engineError(words, {}, 'the container engine could not attach a holder'),
        data(chunk) {
          try {
            return demux.feed(chunk)
          } catch {
            silent(new Error('the holder’s stream is broken'))
            return false
          }
        },
        end: () => silent(new Error(`the holder ended: ${text.trim()}`)),
      })
      // StdinOnce: its stdin ends with this stream, so it goes when we do; AutoRemove does the rest.
      close = async () => {
        stream.destroy()
        await remove(name)
      }
      await api.json('POST', `/containers/${id}/start`, { signal, deadline: START_MS }, nothing)
      return { firstLine: await unlessAborted(firstLine, deadline(START_MS, signal)), close: () => close() }
    } catch (error) {
      await close()
      throw error
    }
  }

  return {
    start: (spec, signal) => withCpuLimit((cpu) => start(spec, cpu, signal)),

    async sweep(signal) {
      const filters = encodeURIComponent(JSON.stringify({ label: [HOLDER_LABEL] }))
      const found = await api.json('GET', `/containers/json?all=true&filters=${filters}`, { signal }, (json) =>
        listed.parse(json),
      )
      const old = found.filter(({ Created }) => Date.now() / 1000 - Created > HOLDER_MAX_AGE_S)
      for (const { Id } of old) await remove(Id)
      return old.length
    },

    async forget(repository, signal) {
      const filters = encodeURIComponent(JSON.stringify({ reference: [repository] }))
      const found = await api.json('GET', `/images/json?filters=${filters}`, { signal }, (json) => images.parse(json))
      for (const tag of found.flatMap(({ RepoTags }) => RepoTags ?? [])) {
        // In use by another gateway's holder this moment: it stays.
        await api.json('DELETE', `/images/${tag}`, { signal }, nothing).catch(() => undefined)
      }
    },
  }
}

/** Those of any gateway beside this container, given by its full id. */
export async function removeDockerHolders(api: DockerApi, containerId: string, signal: AbortSignal): Promise<void> {
  const filters = encodeURIComponent(JSON.stringify({ label: [`${HOLDER_LABEL}=${containerId}`] }))
  const path = `/containers/json?all=true&filters=${filters}`
  const found = await api.json('GET', path, { signal }, (json) => listed.parse(json))
  for (const { Id } of found) await api.json('DELETE', `/containers/${Id}?force=true&v=true`, { signal }, nothing)
}

function createBody(spec: HolderSpec, cpu: boolean): object {
  const { memoryBytes, pids, cpuPeriodUs, cpuQuotaUs } = HOLDER_LIMITS
  return {
    Image: `${spec.image.repository}:${spec.image.tag}`,
    Entrypoint: [spec.argv[0]],
    Cmd: spec.argv.slice(1),
    User: spec.user,
    Labels: { [HOLDER_LABEL]: spec.containerId },
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    NetworkDisabled: true,
    HostConfig: {
      PidMode: `container:${spec.containerId}`,
      NetworkMode: 'none',
      AutoRemove: true,
      ReadonlyRootfs: true,
      // Its capabilities must be a subset of the target's, or the target's exec may not look into it.
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      ...(spec.userns !== undefined && { UsernsMode: spec.userns }),
      Memory: memoryBytes,
      // No swap beside it.
      MemorySwap: memoryBytes,
      PidsLimit: pids,
      ...(cpu && { CpuPeriod: cpuPeriodUs, CpuQuota: cpuQuotaUs }),
      LogConfig: { Type: 'none' },
      // Mounts, not Binds: a source that the engine cannot see is an error there, not a new empty folder on its host.
      Mounts: spec.mount
        ? [{ Type: 'bind', Source: spec.mount.source, Target: spec.mount.destination, ReadOnly: true }]
        : [],
    },
  }
}

function nothing(): undefined {
  return undefined
}
