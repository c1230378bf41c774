/** What a swarm's manager is asked over the Docker API: plain answers, each within a limit. */
import { HatchwayError } from '../../base/errors.ts'
import type { DockerAddress } from './address.ts'
import { createDockerApi } from './api.ts'
import { createDockerHttp } from './http.ts'

const ANSWER_MS = 5_000
const NO_MANAGER = /not a swarm manager|not part of a swarm/i

export interface DockerManager {
  /** The answer to a GET of that path, as JSON. @throws HatchwayError ENGINE_* */
  ask(path: string): Promise<unknown>
  close(): void
}

export function openDockerManager(address: DockerAddress): DockerManager {
  const http = createDockerHttp(address, ANSWER_MS)
  const api = createDockerApi(address, http)
  const ask = async (path: string) => {
    try {
      return await api.json('GET', path, { signal: new AbortController().signal }, (json) => json)
    } catch (error) {
      if (!(error instanceof HatchwayError) || !NO_MANAGER.test(error.message)) throw error
      throw new HatchwayError('ENGINE_ERROR', 'the engine at the address of the swarm is no manager of one', {
        cause: error,
      })
    }
  }
  return { ask, close: () => http.close() }
}
