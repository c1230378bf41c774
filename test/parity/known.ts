/**
 * Cases of parity.sh that do not pass, for each road, with the reason. The parity test fails on a case that is missing
 * here, and as well on one that is here and passes.
 */
export type ParityRoad =
  | 'sshd'
  | 'docker'
  | 'cli'
  | 'containerd'
  | 'kubernetes'
  | 'docker, guest off'
  | 'cli, guest off'
  | 'containerd, guest off'
  | 'docker on Podman'
  | "docker on a user's Podman"
  | 'docker on Podman 5'

const NO_FORWARD = 'connecting and listening inside is done by the helper'
const NO_X11 = 'X11 needs a listening port inside, which the helper makes'
const NO_AGENT = 'an agent socket inside is made by the helper'

/** Ours, on every road. */
const GATEWAY = {
  'auth-wrong-user':
    'a plain word that names no container may be the login of a jump (ssh -J): with a good key it is refused in its session, in words',
}

/** What an engine's own exec cannot do, whichever driver asks it. */
const PLAIN = {
  ...GATEWAY,
  'exit-signal-term': 'engines tell 128 + n for a death by signal, as they do for exit 128 + n',
  'pty-modes': "no engine takes RFC 4254's terminal modes",
  'x11-display': NO_X11,
  'fwd-L': NO_FORWARD,
  'fwd-L-localhost': NO_FORWARD,
  'fwd-L-20mb': NO_FORWARD,
  'fwd-L-30-conns': NO_FORWARD,
  'fwd-W': NO_FORWARD,
  'fwd-D-curl': NO_FORWARD,
  'fwd-R-port0': NO_FORWARD,
  'fwd-R-loopback': NO_FORWARD,
  'fwd-R-fixed': NO_FORWARD,
  'fwd-R-dynamic': NO_FORWARD,
  'fwd-unix-L': NO_FORWARD,
  'fwd-unix-R': NO_FORWARD,
  'agent-forward': NO_AGENT,
  'agent-sign': NO_AGENT,
  'dbclient-L': NO_FORWARD,
  'plink-L': NO_FORWARD,
  'node-ssh2': 'its forwardOut needs the helper',
  'vscode-flow': 'its SOCKS proxy needs the helper',
}

export const KNOWN_FAILURES: Readonly<Record<ParityRoad, Readonly<Record<string, string>>>> = {
  docker: GATEWAY,
  cli: GATEWAY,
  containerd: GATEWAY,
  kubernetes: GATEWAY,
  sshd: {},
  'docker, guest off': PLAIN,
  'cli, guest off': PLAIN,
  'containerd, guest off': {
    ...PLAIN,
    'fwd-J': 'without the helper the gateway connects to an address of the container, and containerd knows none',
  },
  'docker on Podman': GATEWAY,
  "docker on a user's Podman": GATEWAY,
  'docker on Podman 5': GATEWAY,
}

/** Cases whose verdict says nothing on a road: they have run, that is all. */
export const UNDECIDED: Partial<Readonly<Record<ParityRoad, Readonly<Record<string, string>>>>> = {
  'docker, guest off': {
    'fwd-R-busy': 'a refused listener ends the client, which passes where a login takes longer than the case waits',
  },
  'cli, guest off': {
    'fwd-R-busy': 'as on docker',
  },
  'containerd, guest off': {
    'fwd-R-busy': 'as on docker',
  },
}

/** Skips that are expected: what the suite cannot try, whatever the server. */
export const EXPECTED_SKIPS: Readonly<Record<string, string>> = {
  mosh: 'UDP is outside SSH',
  jsch: 'needs a JDK, which ./hatchway test does not install',
}
