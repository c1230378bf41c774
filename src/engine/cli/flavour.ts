/** Docker-compatible command lines, as data: what differs between them is here and nowhere else. */
import { DETACH_KEYS } from '../detach-keys.ts'
import type { ExecSpec } from '../engine.ts'

export interface CliFlavour {
  readonly product: string
  /** Options of `exec` besides -i -t -u -w -e, which all of them have. */
  readonly execOptions: readonly string[]
  /** Prints one JSON object with Version and Arch or OsArch. */
  readonly version: readonly string[]
  /** Prints the address of the engine behind it; absent where it is always this host. */
  readonly host?: readonly string[]
  readonly events: readonly string[]
  /** Exit codes that may mean that the container or the engine (255) ended, not just the program. */
  readonly goneCodes: readonly number[]
  /** Prefixes of its own error messages on stderr. */
  readonly errors: readonly string[]
}

const DOCKER: CliFlavour = {
  product: 'docker',
  execOptions: [`--detach-keys=${DETACH_KEYS}`],
  version: ['version', '--format', '{{json .Server}}'],
  host: ['context', 'inspect', '--format', '{{.Endpoints.docker.Host}}'],
  events: ['events', '--filter', 'type=container', '--format', '{{json .}}'],
  goneCodes: [137, 255],
  errors: ['Error response from daemon: ', 'Cannot connect to the Docker daemon', 'error during connect'],
}

export const FLAVOURS: Readonly<Record<string, CliFlavour>> = {
  docker: DOCKER,
  podman: {
    product: 'podman',
    execOptions: [`--detach-keys=${DETACH_KEYS}`],
    version: ['version', '--format', '{{json .Client}}'],
    events: ['events', '--filter', 'type=container', '--format', 'json'],
    goneCodes: [137, 255],
    errors: ['Error: ', 'Cannot connect to Podman'],
  },
  nerdctl: {
    product: 'nerdctl',
    execOptions: [],
    version: ['version', '--format', '{{json .Client}}'],
    events: ['events', '--format', '{{json .}}'],
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
