import { docker } from '../support/containers.ts'
import type { Driver } from './contract.ts'

/** Before API 1.42 an exec's terminal can only be sized after its program has started. */
export async function noConsoleSize(): Promise<Driver['skip']> {
  const minor = Number((await docker('version', '--format', '{{.Server.APIVersion}}')).split('.')[1])
  if (minor >= 42) return []
  return [
    {
      reason: `Docker's API 1.${minor} has no ConsoleSize: the size follows some 100 ms after the start`,
      tests: ['gives a terminal its size before the first byte'],
    },
  ]
}

export const PODMAN_SKIPS: Driver['skip'] = [
  {
    reason: "Podman's conmon sizes the terminal beside the start: on a busy machine a program may still read 0x0",
    tests: ['gives a terminal its size before the first byte'],
  },
  {
    reason: 'Podman has no init of its own; it takes catatonit where that is installed',
    tests: ['an init as process 1, where it is asked for'],
  },
  {
    reason: 'Podman restarts a failing container at once and never shows it as restarting',
    tests: ['refuses a container that keeps restarting'],
  },
  {
    reason: 'Podman 4.3 follows a link at the end when it copies out, within the container',
    tests: ['does not follow a link at the end of the path'],
  },
  {
    reason: 'Podman 4.3 tells no past events here, so a kill is told as a stop',
    tests: ['says CONTAINER_GONE when the container is killed under a program'],
  },
]
