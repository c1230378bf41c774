/** Engine over the Docker API: Docker and Podman's Docker-compatible socket, on a unix socket, tcp, or tcp with TLS. */
import { HatchwayError } from '../../base/errors.ts'
import { anyOf } from '../../lifetime/deadline.ts'
import { createKeyedSemaphore } from '../../lifetime/semaphore.ts'
import type { Engine } from '../engine.ts'
import { parseContainer, parseDaemonId, parseSummaries } from '../json.ts'
import { isContainerRef } from '../ref.ts'
import { type DockerAddress, formatAddress, parseEngineAddress } from './address.ts'
import { createDockerApi } from './api.ts'
import { dockerArchives } from './archives.ts'
import { dockerEvents } from './events.ts'
import { startExec } from './exec.ts'
import { dockerHolders } from './holders.ts'
import { createDockerHttp } from './http.ts'
import { dockerLifecycle } from './lifecycle.ts'
import { dockerMarks } from './marks.ts'

export interface DockerEngineOptions {
  /** "unix:///var/run/docker.sock", "tcp://host:2376", or an address with its TLS files. */
  readonly endpoint: string | DockerAddress
  /** Milliseconds for a call to answer. */
  readonly callDeadline?: number
  /** Milliseconds for a program's start to be answered; a busy engine starts about twenty a second. */
  readonly startDeadline?: number
}

/** In one container: more than 16 program starts at once hang containerd's shim. */
const STARTS_AT_ONCE = 10

/** Connects at the first call, so an engine that is down now may come later. */
export function createDockerEngine(options: DockerEngineOptions): Engine {
  const address =
    typeof options.endpoint === 'string'
      ? parseEngineAddress(options.endpoint, 'the engine’s address', process.env)
      : options.endpoint
  if (address === undefined) {
    throw new HatchwayError('CONFIG_INVALID', `the engine API is not served at "${options.endpoint}"; use engine "cli"`)
  }
  const http = createDockerHttp(address, options.callDeadline ?? 15_000)
  const api = createDockerApi(address, http)
  const gate = createKeyedSemaphore({ atOnce: STARTS_AT_ONCE })
  const endpoint = formatAddress(address)
  const closed = new AbortController()
  // A TLS or tcp engine may still be this host, but nothing says so.
  const local = address.kind === 'unix' && process.platform === 'linux'

  return {
    kind: 'docker',
    endpoint,

    async info(signal) {
      const { product, version, arch } = await api.version(signal)
      return { product, version, arch, local }
    },

    async daemonId(signal) {
      const { product } = await api.version(signal)
      return api.json('GET', '/info', { signal }, (json) => parseDaemonId(json, product))
    },

    async list(signal) {
      const found = await api.json('GET', '/containers/json?all=true', { signal }, parseSummaries)
      for (const container of found) api.remember(container.id, container.name)
      return found
    },

    async summaries(ids, signal) {
      const filters = encodeURIComponent(JSON.stringify({ id: ids }))
      const path = `/containers/json?all=true&filters=${filters}`
      const found = await api.json('GET', path, { signal }, parseSummaries)
      // An engine that does not know the filter has answered with all.
      return found.filter(({ id }) => ids.includes(id))
    },

    async inspect(ref, signal) {
      if (!isContainerRef(ref)) throw new HatchwayError('CONTAINER_NOT_FOUND', `no container ${JSON.stringify(ref)}`)
      const about = { container: ref }
      const found = await api.json('GET', `/containers/${ref}/json`, { signal, about }, parseContainer)
      api.remember(found.id, found.name)
      return found
    },

    exec: (containerId, spec, sink, signal) =>
      startExec(api, gate, containerId, spec, sink, signal, options.startDeadline ?? 30_000),

    copies: dockerArchives(api),

    holders: dockerHolders(api),

    lifecycle: dockerLifecycle(api),

    marks: dockerMarks(api),

    events: (signal) => dockerEvents(api, anyOf(signal, closed.signal)),

    async close() {
      closed.abort(new Error('the engine was closed'))
      http.close()
    },
  }
}
