/**
 * Cases of parity.sh that do not pass, for each road, with the reason. The parity test fails on a case that is missing
 * here, and as well on one that is here and passes.
 */
export type ParityRoad = 'sshd' | 'docker' | 'cli' | 'docker, guest off' | 'cli, guest off'

const NO_AGENT = 'agent forwarding is not served yet'
const NO_X11 = 'X11 forwarding is not served yet'
const NOT_YET = { 'x11-display': NO_X11, 'agent-forward': NO_AGENT, 'agent-sign': NO_AGENT }

export const KNOWN_FAILURES: Readonly<Record<ParityRoad, Readonly<Record<string, string>>>> = {
  sshd: {},
  docker: NOT_YET,
  cli: NOT_YET,
  'docker, guest off': {},
  'cli, guest off': {},
}

/** Skips that are expected: what the suite cannot try, whatever the server. */
export const EXPECTED_SKIPS: Readonly<Record<string, string>> = {
  mosh: 'UDP is outside SSH',
  jsch: 'needs a JDK, which ./hatchway test does not install',
}
