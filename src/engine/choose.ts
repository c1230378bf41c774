/**
 * Which engine: the one that was named (configuration, DOCKER_HOST, docker context), else the first that is there, be it a
 * socket in its usual place or a CLI that is installed. An engine that refuses or is slow is waited for, or its failure is
 * told. Another in its place would be an empty one, where no container is what it was. Where none was named a gateway
 * takes a likelier one that comes up later, as every command does that is started then.
 */
import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { asHatchwayError, HatchwayError } from '../base/errors.ts'
import { part } from '../base/parts.ts'
import { deadline } from '../lifetime/deadline.ts'
import { createChangingEngine } from './choose-again.ts'
import { addressOptions, FLAVOURS, flavourOf } from './cli/flavour.ts'
import { type DockerAddress, formatAddress, parseEngineAddress, readTlsFiles, type TlsPaths } from './docker/address.ts'
import { currentContext } from './docker/context.ts'
import { createDockerEngine } from './docker/docker.ts'
import { parseSshAddress, sshArguments } from './docker/ssh-stream.ts'
import { openDockerManager } from './docker/swarm-manager.ts'
import type { Engine } from './engine.ts'
import type { KubernetesChoice } from './kubernetes/kubernetes.ts'
import { engineLimit, withReason } from './messages.ts'

const loadCli = part(() => import('./cli/cli.ts'))
const loadContainerd = part(() => import('./containerd/containerd.ts'))
const loadSwarm = part(() => import('./swarm/swarm.ts'))
const loadKubernetes = part(() => import('./kubernetes/kubernetes.ts'))

export { formatAddress }

export interface EngineChoice {
  readonly kind: 'auto' | 'docker' | 'cli' | 'containerd' | 'kubernetes'
  /** Of the API: "unix:///path", "tcp://host:port", "ssh://user@host"; of the CLI whatever it takes itself. */
  readonly endpoint?: string | undefined
  /** The CLI's binary: "docker", "podman", "nerdctl", or a path to one. */
  readonly cli?: string | undefined
  /** Of containerd. */
  readonly socket?: string | undefined
  readonly namespace?: string | undefined
  /** Of an API at tcp:// or https://, in place of DOCKER_CERT_PATH. */
  readonly tls?: TlsPaths | undefined
  /** Where in the configuration all this stands, for sentences; "engine" if absent. */
  readonly key?: string
  /** Of Kubernetes, as the three below. */
  readonly kubeconfig?: string | undefined
  readonly context?: string | undefined
  readonly namespaces?: readonly string[] | undefined
  readonly debugImage?: string | undefined
  /**
   * Do not fail when it does not answer yet: a gateway that starts before its engine says so to each session, and works
   * as soon as the engine is there.
   */
  readonly lazy?: boolean
}

export type ChosenEngine = (
  | { readonly kind: 'api'; readonly address: DockerAddress }
  /**
   * `endpoint`: which engine we tell the CLI to reach. `host`: what its environment tells it.
   */
  | { readonly kind: 'cli'; readonly binary: string; readonly endpoint?: string; readonly host?: string }
  | { readonly kind: 'containerd'; readonly socket: string; readonly namespace: string }
  | { readonly kind: 'kubernetes'; readonly options: KubernetesChoice }
) & {
  /** What named the engine: "engine.endpoint", "DOCKER_HOST"; absent where nothing did. */
  readonly by?: string
  /** What else is there, and is not taken. */
  readonly others?: readonly string[]
}

const KEY = 'engine'
const CONTAINERD_SOCKET = '/run/containerd/containerd.sock'
const USUAL = { kind: 'unix', path: '/var/run/docker.sock' } as const
/** For a docker CLI without a socket of Docker's to show that it works: it may be Podman's imitation. */
const CLI_PROBE_MS = 5000

/**
 * @throws HatchwayError CONFIG_INVALID; ENGINE_UNAVAILABLE, ENGINE_TIMEOUT, ... naming the engine, unless it is opened
 * lazily
 */
export async function openEngine(
  choice: EngineChoice,
  signal: AbortSignal,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Engine> {
  const chosen = await chooseEngine(choice, env)
  const engine = await open(chosen)
  const isGuess = chosen.kind === 'cli' && chosen.by === undefined && choice.kind === 'auto'
  if (choice.lazy && !(isGuess && chosen.binary === 'docker')) return untilBetter(chosen, engine, choice.kind, env)
  const limit = choice.lazy ? deadline(engineLimit('its version', CLI_PROBE_MS), signal) : signal
  try {
    await engine.info(limit)
    return choice.lazy ? untilBetter(chosen, engine, choice.kind, env) : engine
  } catch (error) {
    await engine.close()
    // The docker CLI has no socket to talk to yet: once that is there it is the better way.
    if (choice.lazy) return createDockerEngine({ endpoint: USUAL })
    throw failure(chosen, engine.endpoint, error)
  }
}

/** @throws HatchwayError CONFIG_INVALID where what was named cannot be read, or cannot be had in this way */
export async function chooseEngine(choice: EngineChoice, env: NodeJS.ProcessEnv = process.env): Promise<ChosenEngine> {
  const { kind, endpoint, cli, tls, key = KEY } = choice
  if (kind === 'containerd') return chooseContainerd(choice, key)
  if (choice.socket !== undefined || choice.namespace !== undefined)
    throw new HatchwayError('CONFIG_INVALID', `${key}.socket and ${key}.namespace are for ${key}.kind containerd`)
  const { kubeconfig, context, namespaces, debugImage } = choice
  const ofKubernetes = { kubeconfig, context, namespaces, debugImage }
  if (kind === 'kubernetes') {
    if (endpoint !== undefined || cli !== undefined)
      throw new HatchwayError('CONFIG_INVALID', `${key}.kind kubernetes has ${key}.kubeconfig, and no endpoint or cli`)
    return { kind, options: ofKubernetes, by: choice.kubeconfig === undefined ? `${key}.kind` : `${key}.kubeconfig` }
  }
  for (const [name, value] of Object.entries(ofKubernetes)) {
    if (value !== undefined) throw new HatchwayError('CONFIG_INVALID', `${key}.${name} is for ${key}.kind kubernetes`)
  }
  if (kind === 'cli' && endpoint !== undefined) {
    return { kind: 'cli', binary: cli ?? installed(env)[0] ?? 'docker', endpoint, by: `${key}.endpoint` }
  }
  if (kind === 'cli' || (kind === 'auto' && endpoint === undefined && cli !== undefined)) {
    if (cli !== undefined) return { kind: 'cli', binary: cli, by: `${key}.cli` }
    // Only Docker's own CLI follows these two.
    const named = await namedForCli(env)
    return named === undefined
      ? { kind: 'cli', binary: installed(env)[0] ?? 'docker' }
      : { kind: 'cli', binary: 'docker', host: named.text, by: named.by }
  }
  const named = endpoint === undefined ? await namedForCli(env) : atEndpoint(endpoint, cli, tls, key, env)
  if (named === undefined) return unnamed(kind, env)
  const { address, by, text } = named
  if (address !== undefined) return { kind: 'api', address, by }
  if (kind === 'auto' && endpoint === undefined) return { kind: 'cli', binary: 'docker', host: text, by }
  throw new HatchwayError(
    'CONFIG_INVALID',
    `${text} (${by}) has no API, only a CLI reaches it: ${key}.kind cli${by === `${key}.endpoint` ? '' : ', which follows it'}`,
  )
}

function chooseContainerd({ socket, namespace, endpoint, cli }: EngineChoice, key: string): ChosenEngine {
  if (endpoint !== undefined || cli !== undefined)
    throw new HatchwayError('CONFIG_INVALID', `${key}.kind containerd has ${key}.socket, and no endpoint or cli`)
  return {
    kind: 'containerd',
    socket: socket ?? CONTAINERD_SOCKET,
    namespace: namespace ?? 'default',
    by: socket === undefined ? `${key}.kind` : `${key}.socket`,
  }
}

interface Named {
  readonly text: string
  /** Undefined: only the CLI serves this scheme (ssh://). */
  readonly address: DockerAddress | undefined
  readonly by: string
}

function atEndpoint(
  text: string,
  cli: string | undefined,
  tls: TlsPaths | undefined,
  key: string,
  env: NodeJS.ProcessEnv,
): Named {
  const by = `${key}.endpoint`
  const address = parseSshAddress(text, cli) ?? parseEngineAddress(text, by, env)
  if (tls === undefined || address?.kind !== 'tcp') return { text, address, by }
  return { text, by, address: { ...address, tls: readTlsFiles(tls, `${key}.tls`) } }
}

async function namedForCli(env: NodeJS.ProcessEnv): Promise<Named | undefined> {
  const { DOCKER_HOST: host } = env
  if (host) return { text: host, address: parseEngineAddress(host, 'DOCKER_HOST', env), by: 'DOCKER_HOST' }
  const context = await currentContext(env)
  return context && { text: context.host, address: context.address, by: `docker context ${context.name}` }
}

/** A likelier one may come up. */
function untilBetter(chosen: ChosenEngine, engine: Engine, kind: EngineChoice['kind'], env: NodeJS.ProcessEnv): Engine {
  if (kind === 'cli' || kind === 'containerd' || kind === 'kubernetes' || chosen.by !== undefined) return engine
  const places = [...usualSockets(env).map((path) => `unix://${path}`), ...Object.keys(FLAVOURS)]
  const place = (one: ChosenEngine) =>
    places.indexOf(one.kind === 'cli' ? one.binary : one.kind === 'api' ? formatAddress(one.address) : '')
  let taken = isThere(chosen) ? place(chosen) : places.length
  if (taken === 0) return engine
  return createChangingEngine(engine, async (limit) => {
    const now = unnamed(kind, env)
    if (!isThere(now) || place(now) >= taken) return undefined
    const found = await open(now)
    try {
      await found.info(limit)
    } catch {
      await found.close()
      return undefined
    }
    taken = place(now)
    return found
  })
}

/** Where nothing is there, Docker's usual place is the choice nonetheless. */
function isThere(chosen: ChosenEngine): boolean {
  return chosen.kind !== 'api' || chosen.address.kind !== 'unix' || existsSync(chosen.address.path)
}

function unnamed(kind: 'auto' | 'docker', env: NodeJS.ProcessEnv): ChosenEngine {
  const [path, ...others] = usualSockets(env).filter((path) => existsSync(path))
  if (path !== undefined) {
    return { kind: 'api', address: { kind: 'unix', path }, others: others.map((path) => `unix://${path}`) }
  }
  const [binary, ...rest] = kind === 'auto' ? installed(env) : []
  return binary === undefined ? { kind: 'api', address: USUAL } : { kind: 'cli', binary, others: rest }
}

/** The likeliest first. */
function usualSockets({ XDG_RUNTIME_DIR: runtime }: NodeJS.ProcessEnv): string[] {
  return [
    USUAL.path,
    ...(runtime ? [`${runtime}/docker.sock`, `${runtime}/podman/podman.sock`] : []),
    '/run/podman/podman.sock',
  ]
}

/** Of the CLIs we know those that are on the PATH. */
function installed({ PATH: path = '' }: NodeJS.ProcessEnv): string[] {
  const folders = path.split(delimiter).filter((folder) => folder !== '')
  return Object.keys(FLAVOURS).filter((name) => folders.some((folder) => isProgram(join(folder, name))))
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}

export interface SwarmChoice {
  /** Of a manager. */
  readonly endpoint?: string | undefined
  /** Endpoints of the nodes' engines, by their names or ids. */
  readonly nodes?: Readonly<Record<string, string>> | undefined
  /** For each of these at tcp:// or https://. */
  readonly tls?: TlsPaths | undefined
  /** As of EngineChoice. */
  readonly key: string
}

/** @throws HatchwayError CONFIG_INVALID */
export async function openSwarm(
  { endpoint, nodes = {}, tls, key }: SwarmChoice,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Engine> {
  const { createSwarmEngine } = await loadSwarm()
  const address = (text: string | undefined): DockerAddress => {
    const found = text === undefined ? undefined : atEndpoint(text, undefined, tls, key, env).address
    if (found !== undefined) return found
    throw new HatchwayError('CONFIG_INVALID', `${key}: a swarm needs endpoints that have an API`)
  }
  const manager = address(endpoint)
  const places = Object.entries(nodes).map(([name, place]) => [name, address(place)] as const)
  const { ask, close } = openDockerManager(manager)
  return createSwarmEngine({
    ask,
    close,
    manager: createDockerEngine({ endpoint: manager }),
    nodes: new Map(places.map(([name, endpoint]) => [name, createDockerEngine({ endpoint })])),
  })
}

async function open(chosen: ChosenEngine): Promise<Engine> {
  if (chosen.kind === 'api') return createDockerEngine({ endpoint: chosen.address })
  if (chosen.kind === 'containerd') {
    const { createContainerdEngine } = await loadContainerd()
    return createContainerdEngine(chosen)
  }
  if (chosen.kind === 'kubernetes') {
    const { openKubernetesEngine } = await loadKubernetes()
    return openKubernetesEngine(chosen.options)
  }
  const { createCliEngine } = await loadCli()
  const { binary, endpoint } = chosen
  return createCliEngine({ binary, ...(endpoint !== undefined && { endpoint }) })
}

/** What a person types before a command of the CLI, to ask the engine that we ask. */
export function commandLine(binary: string, endpoint: string | undefined): string {
  return [binary, ...addressOptions(flavourOf(binary), endpoint)].join(' ')
}

export function sshCommand(address: Extract<DockerAddress, { kind: 'ssh' }>): string {
  return ['ssh', ...sshArguments(address)].join(' ')
}

function failure(chosen: ChosenEngine, endpoint: string, error: unknown): HatchwayError {
  const { by, others = [] } = chosen
  const { code, message, cause } = withReason(asHatchwayError(error))
  const told = chosen.kind === 'cli' ? (chosen.host ?? (chosen.endpoint && endpoint)) : undefined
  const name = chosen.kind === 'cli' && told !== undefined ? `${chosen.binary} at ${told}` : endpoint
  const where = by === undefined ? name : `${name} (${by})`
  const hint = others.length > 0 ? `; to use ${others.join(' or ')}, name it (engine.endpoint, engine.cli)` : ''
  return new HatchwayError(code, `${where}: ${message}${hint}`, { cause })
}
