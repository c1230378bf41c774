/**
 * What an accepted key or certificate denies its holder: options of authorized_keys(5), critical options and extensions
 * of a certificate (PROTOCOL.certkeys), merged. They only narrow; the policy checks them before its own rules.
 */
export interface Restrictions {
  /** command= or force-command: runs instead of the client's command, which is in SSH_ORIGINAL_COMMAND. May be "". */
  readonly command?: string
  readonly pty: boolean
  readonly portForwarding: boolean
  readonly agentForwarding: boolean
  readonly x11Forwarding: boolean
  /** permitopen=: "host:port", "[v6]:port", "*" for either; one list per key, and all must permit; absent: any. */
  readonly permitOpen?: PortLists
  /** permitlisten=: as permitOpen; a port alone has become "*:port"; absent: any. */
  readonly permitListen?: PortLists
  /** environment=: "NAME=value", set in every session; no name twice. */
  readonly environment: readonly string[]
  /** expiry-time= or the end of a certificate, milliseconds since the epoch. */
  readonly expiresAt?: number
  /** A FIDO token must have been touched for the signature; only no-touch-required lifts it. */
  readonly touchRequired: boolean
  /** A FIDO token must have verified its user (PIN, fingerprint). */
  readonly verifyRequired: boolean
}

type PortLists = readonly (readonly string[])[]

export const UNRESTRICTED: Restrictions = {
  pty: true,
  portForwarding: true,
  agentForwarding: true,
  x11Forwarding: true,
  environment: [],
  touchRequired: true,
  verifyRequired: false,
}

/**
 * Merges the restrictions of a key's line and its certificate, or of two keys: both apply. Returns a sentence if they
 * cannot. Like sshauthopt_merge() of auth-options.c, which though keeps only the first list of ports and environment.
 */
export function mergeRestrictions(one: Restrictions, two: Restrictions): Restrictions | string {
  if (one.command !== undefined && two.command !== undefined && one.command !== two.command) {
    return 'two forced commands that differ'
  }
  const command = one.command ?? two.command
  const environment = [...new Set([...one.environment, ...two.environment])]
  if (new Set(environment.map((entry) => entry.split('=', 1)[0])).size < environment.length) {
    return 'a variable of environment= with two values'
  }
  const permitOpen = both(one.permitOpen, two.permitOpen)
  const permitListen = both(one.permitListen, two.permitListen)
  const ends = [one.expiresAt, two.expiresAt].filter((end) => end !== undefined)
  return {
    pty: one.pty && two.pty,
    portForwarding: one.portForwarding && two.portForwarding,
    agentForwarding: one.agentForwarding && two.agentForwarding,
    x11Forwarding: one.x11Forwarding && two.x11Forwarding,
    environment,
    touchRequired: one.touchRequired || two.touchRequired,
    verifyRequired: one.verifyRequired || two.verifyRequired,
    ...(command !== undefined && { command }),
    ...(permitOpen && { permitOpen }),
    ...(permitListen && { permitListen }),
    ...(ends.length > 0 && { expiresAt: Math.min(...ends) }),
  }
}

function both(one: PortLists | undefined, two: PortLists | undefined): PortLists | undefined {
  return one && two ? [...one, ...two] : (one ?? two)
}

/** Returns whether `one` asks more of a FIDO token's signature than `other`. */
export function asksMore(one: Restrictions, other: Restrictions): boolean {
  return (one.touchRequired && !other.touchRequired) || (one.verifyRequired && !other.verifyRequired)
}
