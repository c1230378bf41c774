/** Which engine: an API socket that answers wins (faster, and no process for each session); else a CLI that works. */
import { existsSync } from 'node:fs'
import { asHatchwayError, HatchwayError } from '../errors.ts'
import { deadline } from '../lifetime/deadline.ts'
import { FLAVOURS } from './cli-flavour.ts'
import { createDockerEngine } from './docker.ts'
import { type DockerAddress, formatAddress, parseAddress } from './docker-address.ts'
import { currentContext } from './docker-context.ts'
import type { Engine } from './engine.ts'

export interface EngineChoice {
  readonly kind: 'auto' | 'docker' | 'cli'
  /** Of the API: "unix:///path", "tcp://host:port". */
  readonly endpoint?: string | undefined
  /** The CLI's binary: "docker", "podman", "nerdctl", or a path to one. */
  readonly cli?: string | undefined
  /**
   * Do not fail when nothing answers yet: a gateway that starts before its engine says so to each session, and works
   * as soon as the engine is there.
   */
  readonly lazy?: boolean
}

/** Milliseconds for an engine to show that it works. */
const PROBE = 5000

export async function openEngine(
  choice: EngineChoice,
  signal: AbortSignal,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Engine> {
  const tried: string[] = []
  const works = async (engine: Engine): Promise<Engine | undefined> => {
    try {
      await engine.info(deadline(PROBE, signal))
      return engine
    } catch (error) {
      await engine.close()
      signal.throwIfAborted()
      const why = error instanceof HatchwayError ? asHatchwayError(error).message : 'no answer'
      tried.push(`${engine.endpoint}: ${why}`)
      return undefined
    }
  }

  const addresses = choice.kind === 'cli' ? [] : await apiAddresses(choice.endpoint, env, tried)
  for (const address of addresses) {
    const engine = await works(createDockerEngine({ endpoint: address }))
    if (engine !== undefined) return engine
  }
  const binaries = choice.kind === 'docker' ? [] : choice.cli !== undefined ? [choice.cli] : Object.keys(FLAVOURS)
  for (const binary of binaries) {
    const engine = await works(await cliEngine(binary))
    if (engine !== undefined) return engine
  }

  if (choice.lazy) {
    const [first] = addresses
    if (first !== undefined) return createDockerEngine({ endpoint: first })
    if (binaries[0] !== undefined) return cliEngine(binaries[0])
  }
  throw new HatchwayError(
    'ENGINE_UNAVAILABLE',
    `no container engine works here; tried ${tried.length === 0 ? 'nothing' : tried.join('; ')}`,
  )
}

/** Loaded where it is needed. */
async function cliEngine(binary: string): Promise<Engine> {
  const { createCliEngine } = await import('./cli.ts')
  return createCliEngine({ binary })
}

/** What was named by the user alone, else every place where a Docker-compatible API usually is; the likeliest first. */
async function apiAddresses(
  endpoint: string | undefined,
  env: NodeJS.ProcessEnv,
  tried: string[],
): Promise<DockerAddress[]> {
  const named = endpoint ?? env.DOCKER_HOST
  if (named) {
    const address = parseAddress(named, env)
    if (address === undefined) tried.push(`${named}: no API for this scheme, only a CLI`)
    return address === undefined ? [] : [address]
  }
  const context = await currentContext(env)
  if (context !== undefined) {
    if (context.address === undefined) tried.push(`docker context ${context.name}: ${context.host} needs a CLI`)
    return context.address === undefined ? [] : [context.address]
  }
  const usual = '/var/run/docker.sock'
  const runtime = env.XDG_RUNTIME_DIR
  const paths = [
    usual,
    ...(runtime ? [`${runtime}/docker.sock`, `${runtime}/podman/podman.sock`] : []),
    '/run/podman/podman.sock',
  ]
  const there = paths.filter((path) => existsSync(path))
  // The usual place is tried even if it is empty (for a lazy start it counts), so it reports for itself.
  const absent = paths.filter((path) => !there.includes(path) && !(there.length === 0 && path === usual))
  for (const path of absent) {
    tried.push(`${formatAddress({ kind: 'unix', path })}: no such socket`)
  }
  return (there.length === 0 ? [usual] : there).map((path) => ({ kind: 'unix', path }))
}
