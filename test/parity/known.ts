/**
 * Cases of parity.sh that do not pass, for each road, with the reason. The parity test fails on a case that is missing
 * here, and as well on one that is here and passes.
 */
export type ParityRoad = 'sshd' | 'docker' | 'cli' | 'docker, guest off' | 'cli, guest off'

export const KNOWN_FAILURES: Readonly<Record<ParityRoad, Readonly<Record<string, string>>>> = {
  sshd: {},
  docker: {},
  cli: {},
  'docker, guest off': {},
  'cli, guest off': {},
}

/** Skips that are expected: what the suite cannot try, whatever the server. */
export const EXPECTED_SKIPS: Readonly<Record<string, string>> = {
  mosh: 'UDP is outside SSH',
  jsch: 'needs a JDK, which ./hatchway test does not install',
}
