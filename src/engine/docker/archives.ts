/** Archives of the Docker API: small ones as bytes, and as streams files of any size, without holding one in memory. */
import type { Readable } from 'node:stream'
import { HatchwayError } from '../../base/errors.ts'
import type { Copies } from '../engine.ts'
import { parseMessage } from '../json.ts'
import { engineError, isLinkLoop } from '../messages.ts'
import type { DockerApi } from './api.ts'

/** An engine's error message. */
const MAX_MESSAGE_BYTES = 64 * 1024
const COPY_MS = 60_000

export function dockerArchives(api: DockerApi): Required<Copies> {
  const archive = (containerId: string, path: string) =>
    `/containers/${containerId}/archive?path=${encodeURIComponent(path)}`

  async function url(containerId: string, path: string, signal: AbortSignal): Promise<string> {
    const { prefix } = await api.version(signal)
    return prefix + archive(containerId, path)
  }

  function refusal(body: Buffer, containerId: string): HatchwayError {
    return engineError(parseMessage(body), { container: api.name(containerId) })
  }

  /** Undefined: the container is there, and no such path in it, or one that goes round in a circle of links. */
  function absent(status: number | undefined, error: HatchwayError): undefined {
    if (status === 404 && error.code !== 'CONTAINER_NOT_FOUND') return undefined
    if (isLinkLoop(error)) return undefined
    throw error
  }

  return {
    async copyOut(containerId, path, limit, signal) {
      const options = { signal, limit, deadline: COPY_MS }
      const { status, body } = await api.http.call('GET', await url(containerId, path, signal), options)
      return status === 200 ? body : absent(status, refusal(body, containerId))
    },

    // A HEAD takes milliseconds; a GET makes dockerd fork and chroot into the container, which costs what an exec does.
    async statPath(containerId, path, signal) {
      const { status, headers } = await api.http.call('HEAD', await url(containerId, path, signal), { signal })
      const told = headers['x-docker-container-path-stat']
      if (status === 404) return undefined
      if (status === 200 && typeof told === 'string') return told
      throw new HatchwayError('ENGINE_ERROR', 'the container engine does not tell what a file is like')
    },

    async copyIn(containerId, path, tar, signal) {
      const about = { container: api.name(containerId) }
      const options = { signal, tar, about, deadline: COPY_MS }
      await api.json('PUT', archive(containerId, path), options, () => undefined)
    },

    async readArchive(containerId, path, signal): Promise<Readable | undefined> {
      const response = await api.http.open('GET', await url(containerId, path, signal), signal)
      if (response.statusCode === 200) return response
      return absent(response.statusCode, refusal(await start(response), containerId))
    },

    async writeArchive(containerId, path, tar, signal): Promise<void> {
      const response = await api.http.upload(await url(containerId, path, signal), tar, signal)
      if (response.statusCode !== 200) throw refusal(await start(response), containerId)
      response.resume()
    },
  }
}

async function start(response: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response) {
    chunks.push(chunk)
    size += chunk.length
    if (size > MAX_MESSAGE_BYTES) break
  }
  return Buffer.concat(chunks)
}
