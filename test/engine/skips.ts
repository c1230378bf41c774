import { docker } from '../support/containers.ts'
import { run } from '../support/run.ts'
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

/** What no Podman can. */
export const PODMAN_SKIPS: Driver['skip'] = [
  {
    reason: "Podman's conmon sizes the terminal beside the start: on a busy machine a program may still read 0x0",
    tests: ['gives a terminal its size before the first byte'],
  },
  {
    reason: 'Podman restarts a failing container at once and never shows it as restarting',
    tests: ['refuses a container that keeps restarting'],
  },
  {
    reason: 'Podman follows a link at the end when it copies out, within the container',
    tests: ['does not follow a link at the end of the path'],
  },
]

/** Podman has no init of its own. */
export async function noCatatonit(): Promise<Driver['skip']> {
  if ((await run('sh', ['-c', 'command -v catatonit'])).code === 0) return []
  return [
    {
      reason: 'Podman takes catatonit for an init, and it is not installed',
      tests: ['an init as process 1, where it is asked for'],
    },
  ]
}

export const NO_STOP: Driver['skip'][number] = {
  reason: 'this Podman tells of no stop that the program obeyed: its container is said to have ended',
  tests: ['says CONTAINER_GONE when the container is stopped under a program'],
}

/** Cgroups v1 are root's, and so are devices and the networks that others reach. */
export const ROOTLESS_SKIPS: Driver['skip'] = [
  NO_STOP,
  {
    reason: 'a container of a user’s Podman has no address that leads to it (slirp4netns)',
    tests: ['inspects user, workdir, env, labels, addresses and read-only root'],
  },
  {
    reason: 'the devices of a user’s Podman are mounts of the host’s: nobody inside removes /dev/null',
    tests: ['gives the engine’s reason where it is not the command that is missing'],
  },
  {
    reason: 'a user’s Podman cannot freeze processes where cgroups are v1',
    tests: [
      'refuses a container that is stopped, paused or not there, in clear words',
      'lives through a pause',
      'unpauses a paused container',
    ],
  },
  {
    reason: 'a user’s Podman cannot limit anything where cgroups are v1: it is refused (podman-rootless.test.ts)',
    tests: ['makes a container with all that is asked for'],
  },
]

export const PODMAN_URL_SKIPS: Driver['skip'] = [
  {
    reason: 'podman --url ends with 125 where its program reads nothing of what it is given',
    tests: ['takes input for a program that reads none of it'],
  },
  {
    reason:
      "a Podman service lists programs that have ended for five minutes, and its client's command line cannot ask for one",
    tests: ['tells whether somebody else runs a program inside'],
  },
]

export const PODMAN5_SKIPS: Driver['skip'] = [
  {
    reason: 'the crun of Podman 5 runs a program without /dev/null as well',
    tests: ['gives the engine’s reason where it is not the command that is missing'],
  },
  NO_STOP,
]

/** Of an engine without a copy call. */
const COPY_TESTS = [
  'copies a file out as tar',
  'copies out of a stopped container',
  'answers nothing for a path that is not there',
  'tells that a file is another, where it can tell without reading it',
  'says CONTAINER_NOT_FOUND when there is no container to copy from',
  'does not follow a link at the end of the path',
  'takes no more than the limit out of a large file',
  'copies a tar in as root, with its modes',
  'streams a file of 10 MB in and out again',
  'lets go of an archive that is not read to its end',
  'answers a stream of nothing, of no container, and into no directory, as the copies do',
  'says why nothing was copied in',
]

/** Of one whose containers are somebody else's to start, stop and make. */
const LIFECYCLE_TESTS = [
  'starts a stopped container, and one that runs already',
  'stops a container, by its signal',
  'tells whether somebody else runs a program inside',
  'unpauses a paused container',
  'a start of what is not there, or cannot start, is refused',
  'tells the exit code and the last lines of one that ended at once',
  'makes a container with all that is asked for',
  'an init as process 1, where it is asked for',
  'an image that is not there is said to be so',
  'a registry that cannot be reached is a sentence with its reason',
  'removes a running container by name, and one that is gone',
]

const MARK_TESTS = ['keeps marks, each put once or twice, until they are dropped', 'others’ volumes are no marks']

export const CONTAINERD_SKIPS: Driver['skip'] = [
  {
    reason: 'containerd has no copy call: what has to be read or brought in is read and brought in by an exec',
    tests: COPY_TESTS,
  },
  {
    reason:
      'the driver starts, stops and makes no containers: networks, volumes and logs are not containerd’s but its client’s',
    tests: LIFECYCLE_TESTS,
  },
  {
    reason: 'the driver keeps no marks: they are volumes, which are not containerd’s but its client’s',
    tests: MARK_TESTS,
  },
  {
    reason: 'containerd knows no addresses of its containers',
    tests: ['inspects user, workdir, env, labels, addresses and read-only root'],
  },
  {
    reason: 'containerd knows numbers only: names are resolved above it (container/envinfo.ts)',
    tests: ['runs as a name, a uid, a uid without an entry, and uid:gid'],
  },
  {
    reason: 'a removal is three steps of containerd’s client, and what is told is the one that ended the program',
    tests: ['says CONTAINER_GONE when the container is removed under a program'],
  },
  {
    reason: 'containerd restarts no container by itself',
    tests: ['refuses a container that keeps restarting'],
  },
]

export const KUBERNETES_SKIPS: Driver['skip'] = [
  {
    reason: 'it is neither Docker nor Podman, nor on this host',
    tests: ['names its product, version and architecture'],
  },
  {
    reason: 'pods publish no ports of the host, and mount none of its folders here',
    tests: ['lists containers with name, image, state, status, labels, ports and mounts'],
  },
  { reason: 'an id is no digest that one could shorten', tests: ['inspects by name, by full id and by id prefix'] },
  {
    reason: 'nothing stops, restarts or pauses a container of a pod; faults.test.ts has what happens to pods',
    tests: [
      'a start time names one run',
      'refuses a container that is stopped, paused or not there, in clear words',
      'refuses a container that keeps restarting',
      'says CONTAINER_GONE when the container is stopped under a program',
      'says CONTAINER_GONE when the container is restarted under a program',
      'lives through a pause',
    ],
  },
  {
    reason: 'the API has no copy call',
    tests: COPY_TESTS,
  },
  {
    reason:
      'a pod is never started again, has another name, and pulls by itself: lifecycle.test.ts and made.test.ts have those made here',
    tests: [
      'starts a stopped container, and one that runs already',
      'stops a container, by its signal',
      'unpauses a paused container',
      'a start of what is not there, or cannot start, is refused',
      'tells the exit code and the last lines of one that ended at once',
      'makes a container with all that is asked for',
      'an init as process 1, where it is asked for',
      'an image that is not there is said to be so',
      'a registry that cannot be reached is a sentence with its reason',
      'removes a running container by name, and one that is gone',
      'keeps marks, each put once or twice, until they are dropped',
      'others’ volumes are no marks',
    ],
  },
  {
    reason: 'an exec is the container’s own user: guest.test.ts has others',
    tests: [
      'says USER_NOT_FOUND for an unknown user and an impossible uid, and prints nothing',
      'runs as a name, a uid, a uid without an entry, and uid:gid',
    ],
  },
  {
    reason:
      'Kubernetes before 1.30 cannot end a program’s stdin (v4.channel.k8s.io): exec.test.ts has v5, guest.test.ts the helper',
    tests: [
      'carries every byte value both ways',
      'carries 20 MB there and back unchanged',
      'has taken a chunk when write returns: it was lent',
      'closes stdin and still brings what comes after',
      'takes stdin that ends before the program reads',
      'runs 30 programs at once',
    ],
  },
  {
    reason:
      'a kubelet of 1.20 closes the connection over input that nobody read, and the Status goes with it: of 40 times with 5 MB, 21 ended with ENGINE_LOST, and 2 not at all; none of 100 with half a MB',
    tests: ['takes input for a program that reads none of it'],
  },
  {
    reason: 'the runtime’s words for it are the program’s stderr, and then the API says that the exec failed',
    tests: ['says 126 for an argument that the kernel refuses'],
  },
  {
    reason: 'a terminal has its size some milliseconds after the start: the helper and the launcher size it themselves',
    tests: ['gives a terminal its size before the first byte'],
  },
]
