/** One Docker API as both the exec path and the plain calls see it: address, calls, version, names for messages. */
import { HatchwayError } from '../../base/errors.ts'
import { BoundedMap } from '../../lifetime/bounded-map.ts'
import { unlessAborted } from '../../lifetime/on-abort.ts'
import { type EngineVersion, parseMessage, parseVersion, readJson } from '../json.ts'
import { type About, engineError } from '../messages.ts'
import { shortId } from '../ref.ts'
import type { DockerAddress } from './address.ts'
import type { CallOptions, DockerHttp } from './http.ts'

export interface DockerApi {
  readonly address: DockerAddress
  readonly http: DockerHttp
  /** Asked once; asked anew after the engine was away, since it may have come back as another version. */
  version(signal: AbortSignal): Promise<ApiVersion>
  /** The engine was away. */
  forget(): void
  /** A call that must answer 2xx, parsed by `parse`; everything else is a HatchwayError about `about`. */
  json<T>(
    method: string,
    path: string,
    options: CallOptions & { about?: About },
    parse: (json: unknown) => T,
  ): Promise<T>
  /** The container's name for messages, or its short id. */
  name(containerId: string): string
  remember(containerId: string, name: string): void
  /** Programs that were started through this object, by the ids of their execs. */
  readonly ownExecs: BoundedMap<string, true>
}

export interface ApiVersion extends EngineVersion {
  /** "/v1.41" */
  readonly prefix: string
  /** ConsoleSize is understood at create and start. */
  readonly consoleSize: boolean
}

/** Newest API whose behaviour was tried; newer engines serve it. */
const NEWEST_MINOR_VERSION = 47
const MAX_NAMES = 10_000
const MAX_OWN_EXECS = 10_000

export function createDockerApi(address: DockerAddress, http: DockerHttp): DockerApi {
  const names = new BoundedMap<string, string>(MAX_NAMES)
  let known: Promise<ApiVersion> | undefined

  // One question for all who wait: Podman runs a dozen programs to answer it.
  function version(signal: AbortSignal): Promise<ApiVersion> {
    if (known === undefined) {
      const asked = ask()
      asked.catch(() => {
        if (known === asked) known = undefined
      })
      known = asked
    }
    return unlessAborted(known, signal)
  }

  async function ask(): Promise<ApiVersion> {
    // No caller's signal: others wait for the same answer, and a call has a deadline of its own.
    const answer = await http.call('GET', '/version', { signal: new AbortController().signal })
    const found = readJson(answer.body, parseVersion)
    const minor = Math.max(Math.min(minorOf(found.apiVersion), NEWEST_MINOR_VERSION), minorOf(found.minApiVersion))
    return { ...found, prefix: `/v1.${minor}`, consoleSize: minor >= 42 && found.product === 'docker' }
  }

  return {
    address,
    http,
    version,
    forget() {
      known = undefined
    },
    async json(method, path, options, parse) {
      const { prefix } = await version(options.signal)
      try {
        const answer = await http.call(method, prefix + path, options)
        if (answer.status < 200 || answer.status > 299) {
          throw engineError(parseMessage(answer.body), options.about ?? {})
        }
        return readJson(answer.body, parse)
      } catch (error) {
        if (error instanceof HatchwayError && error.code.startsWith('ENGINE_')) known = undefined
        throw error
      }
    },
    ownExecs: new BoundedMap(MAX_OWN_EXECS),
    name: (id) => names.get(id) ?? shortId(id),
    remember: (id, name) => names.set(id, name),
  }
}

function minorOf(version: string): number {
  return Number(/^1\.(\d+)$/.exec(version)?.[1] ?? 0) || 24
}
