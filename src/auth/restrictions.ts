/**
 * What an accepted key or certificate takes away from its holder: options of authorized_keys(5), critical options and
 * extensions of a certificate (PROTOCOL.certkeys), merged. They only narrow; the policy asks them before its own rules.
 */
export interface Restrictions {
  /** command= or force-command: run instead of whatever the client asks for; the client's own is SSH_ORIGINAL_COMMAND. May be "". */
  readonly command?: string
  readonly pty: boolean
  readonly portForwarding: boolean
  readonly agentForwarding: boolean
  readonly x11Forwarding: boolean
  /** permitopen=: "host:port", "[v6]:port", "*" for either; absent: any. */
  readonly permitOpen?: readonly string[]
  /** permitlisten=: as permitOpen, a port alone was made "*:port"; absent: any. */
  readonly permitListen?: readonly string[]
  /** environment=: "NAME=value", set in every session; no name twice. */
  readonly environment: readonly string[]
  /** expiry-time= or the end of a certificate, milliseconds since the epoch. */
  readonly expiresAt?: number
  /** A FIDO token must have been touched for the signature; only no-touch-required lifts it. */
  readonly touchRequired: boolean
  /** A FIDO token must have verified its user (PIN, fingerprint). */
  readonly verifyRequired: boolean
}

export const UNRESTRICTED: Restrictions = {
  pty: true,
  portForwarding: true,
  agentForwarding: true,
  x11Forwarding: true,
  environment: [],
  touchRequired: true,
  verifyRequired: false,
}

/** Both apply: of a key's line and of its certificate, say. A text when they cannot (auth-options.c, sshauthopt_merge). */
export function mergeRestrictions(one: Restrictions, two: Restrictions): Restrictions | string {
  if (one.command !== undefined && two.command !== undefined && one.command !== two.command) {
    return 'two forced commands that differ'
  }
  const command = one.command ?? two.command
  const permitOpen = one.permitOpen ?? two.permitOpen
  const permitListen = one.permitListen ?? two.permitListen
  const ends = [one.expiresAt, two.expiresAt].filter((end) => end !== undefined)
  return {
    pty: one.pty && two.pty,
    portForwarding: one.portForwarding && two.portForwarding,
    agentForwarding: one.agentForwarding && two.agentForwarding,
    x11Forwarding: one.x11Forwarding && two.x11Forwarding,
    environment: one.environment.length > 0 ? one.environment : two.environment,
    touchRequired: one.touchRequired || two.touchRequired,
    verifyRequired: one.verifyRequired || two.verifyRequired,
    ...(command !== undefined && { command }),
    ...(permitOpen && { permitOpen }),
    ...(permitListen && { permitListen }),
    ...(ends.length > 0 && { expiresAt: Math.min(...ends) }),
  }
}

/** Does `one` ask more of a FIDO token's signature than `other` did? */
export function asksMore(one: Restrictions, other: Restrictions): boolean {
  return (one.touchRequired && !other.touchRequired) || (one.verifyRequired && !other.verifyRequired)
}
