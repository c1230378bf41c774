/** Docker-compatible command lines, as data: what differs between them is here and nowhere else. */
import { HatchwayError } from '../../base/errors.ts'
import { oneLine } from '../../base/printable.ts'
import { DETACH_KEYS } from '../detach-keys.ts'
import type { ExecSpec } from '../engine.ts'

export interface CliFlavour {
  readonly product: string
  /** Options of `exec` besides -i -t -u -w -e, which all of them have. */
  readonly execOptions: readonly string[]
  /** The option that names the engine, and takes its address. */
  readonly address: string
  /** Variables that name the engine where no option does; the first that is set counts. */
  readonly variables: readonly string[]
  /** Prints the address of the engine where nothing of these names it; absent: it is this host's. */
  readonly host?: readonly string[]
  /** Prints JSON with Version and Arch or OsArch, of the machine that the containers run on where there is a Server. */
  readonly version: readonly string[]
  /** The first version whose `cp` takes "-" for a stream; one that does not makes a file of that name. Absent: all do. */
  readonly copiesSince?: readonly [major: number, minor: number]
  /** Prints the engine's own id (engine.ts `daemonId`); absent where nothing does. */
  readonly daemonId?: readonly string[]
  readonly events: readonly string[]
  /** Options of `events` that end it at that time, in seconds, which is now. */
  readonly eventsUntil: (now: string) => readonly string[]
  /** Exit codes that may mean that the container or the engine (255) ended, not just the program. */
  readonly goneCodes: readonly number[]
  /** Prefixes of its own error messages on stderr. */
  readonly errors: readonly string[]
}

const DOCKER: CliFlavour = {
  product: 'docker',
  execOptions: [`--detach-keys=${DETACH_KEYS}`],
  address: '--host',
  variables: ['DOCKER_HOST'],
  version: ['version', '--format', '{{json .Server}}'],
  host: ['context', 'inspect', '--format', '{{.Endpoints.docker.Host}}'],
  daemonId: ['info', '--format', '{{.ID}}'],
  events: ['events', '--filter', 'type=container', '--format', '{{json .}}'],
  eventsUntil: (now) => ['--until', now],
  goneCodes: [137, 255],
  errors: ['Error response from daemon: ', 'Cannot connect to the Docker daemon', 'error during connect'],
}

export const FLAVOURS: Readonly<Record<string, CliFlavour>> = {
  docker: DOCKER,
  podman: {
    product: 'podman',
    execOptions: [`--detach-keys=${DETACH_KEYS}`],
    address: '--url',
    variables: ['CONTAINER_HOST', 'CONTAINER_CONNECTION'],
    daemonId: ['info', '--format', '{{.Host.Hostname}}'],
    // Its Server is there where it talks to a service, and only then.
    version: ['version', '--format', '{{if .Server}}{{json .Server}}{{else}}{{json .Client}}{{end}}'],
    events: ['events', '--filter', 'type=container', '--format', 'json'],
    // A time that is over when it looks at it ends Podman before it has read its log's first line.
    eventsUntil: () => ['--stream=false'],
    goneCodes: [137, 255],
    errors: ['Error: ', 'Cannot connect to Podman'],
  },
  nerdctl: {
    product: 'nerdctl',
    execOptions: [],
    address: '--address',
    variables: ['CONTAINERD_ADDRESS'],
    version: ['version', '--format', '{{json .Client}}'],
    copiesSince: [2, 3],
    events: ['events', '--format', '{{json .}}'],
    // It tells nothing of the past.
    eventsUntil: () => [],
    goneCodes: [137],
    errors: ['time="', 'FATA['],
  },
}

/** By the binary's own name, so that a path works; what is unknown is taken to behave like docker. */
export function flavourOf(binary: string): CliFlavour {
  const name = binary.split('/').at(-1) ?? binary
  const found = Object.entries(FLAVOURS).find(([key]) => name === key || name.startsWith(`${key}-`))
  return found?.[1] ?? DOCKER
}

/** The arguments of one exec. No shell sees them; the id is hex, so the program's argv cannot be taken for options. */
export function execArguments(flavour: CliFlavour, containerId: string, spec: ExecSpec): string[] {
  return [
    'exec',
    '-i',
    ...(spec.tty === undefined ? [] : ['-t']),
    ...flavour.execOptions,
    ...(spec.user === '' ? [] : [`--user=${spec.user}`]),
    ...(spec.cwd === '' ? [] : [`--workdir=${spec.cwd}`]),
    // A name alone would be filled from the gateway's own environment.
    ...spec.env.filter((entry) => entry.indexOf('=') > 0).flatMap((entry) => ['-e', entry]),
    containerId,
    ...spec.argv,
  ]
}

/** The options before the command that name the engine. */
export function addressOptions(flavour: CliFlavour, endpoint: string | undefined): string[] {
  if (endpoint === undefined) return []
  // One argument: an address never begins with a dash, by its schema, and no CLI may take it for a command.
  return [`${flavour.address}=${endpoint.startsWith('/') ? `unix://${endpoint}` : endpoint}`]
}

/** @throws HatchwayError ENGINE_ERROR */
export function demandCopies({ product, copiesSince }: CliFlavour, version: string): void {
  if (copiesSince === undefined) return
  const [major, minor] = copiesSince
  const [, is = '0', and = '0'] = /^v?(\d+)\.(\d+)/.exec(version) ?? []
  if (Number(is) > major || (Number(is) === major && Number(and) >= minor)) return
  throw new HatchwayError(
    'ENGINE_ERROR',
    `${product} ${oneLine(version, 40)} at the gateway cannot copy to and from containers by a stream: it has to be ${major}.${minor} or newer`,
  )
}
