/** Archives of the Docker API as streams: files of any size, in and out, without holding one in memory. */
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import type { DockerApi } from './docker-api.ts'
import type { Engine } from './engine.ts'
import { parseMessage } from './engine-json.ts'
import { engineError } from './engine-words.ts'

/** An engine's error message. */
const MESSAGE_LIMIT = 64 * 1024

export function dockerArchives(api: DockerApi): Pick<Engine, 'readArchive' | 'writeArchive'> {
  async function url(containerId: string, path: string, signal: AbortSignal): Promise<string> {
    const { prefix } = await api.version(signal)
    return `${prefix}/containers/${containerId}/archive?path=${encodeURIComponent(path)}`
  }

  async function refusal(response: IncomingMessage, containerId: string) {
    return engineError(parseMessage(await start(response)), { container: api.name(containerId) })
  }

  return {
    async readArchive(containerId, path, signal): Promise<Readable | undefined> {
      const response = await api.http.open('GET', await url(containerId, path, signal), signal)
      if (response.statusCode === 200) return response
      const error = await refusal(response, containerId)
      if (response.statusCode === 404 && error.code !== 'CONTAINER_NOT_FOUND') return undefined
      throw error
    },

    async writeArchive(containerId, path, tar, signal): Promise<void> {
      const response = await api.http.upload(await url(containerId, path, signal), tar, signal)
      if (response.statusCode !== 200) throw await refusal(response, containerId)
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
    if (size > MESSAGE_LIMIT) break
  }
  return Buffer.concat(chunks)
}
