/**
 * What the accepted key or certificate takes away, as sshd enforces it (auth-options.c, channels.c): asked before every
 * rule, because no rule gives it back.
 */

import type { Restrictions } from '../auth/restrictions.ts'
import { globMatches } from '../base/glob.ts'
import { meantHost } from '../net/address.ts'
import type { Action } from './request.ts'

/** Why the key does not allow the action; undefined: it does. */
export function takenAway(restrictions: Restrictions, action: Action, now: number): string | undefined {
  if (restrictions.expiresAt !== undefined && now >= restrictions.expiresAt) return 'the key or certificate has expired'
  switch (action.kind) {
    case 'pty':
      return restrictions.pty ? undefined : 'the key does not permit a terminal'
    case 'agent':
      return restrictions.agentForwarding ? undefined : 'the key does not permit agent forwarding'
    case 'x11':
      return restrictions.x11Forwarding ? undefined : 'the key does not permit X11 forwarding'
    case 'forward-local':
      if (!restrictions.portForwarding) return NO_FORWARDING
      return permits(restrictions.permitOpen, (entry) => opens(entry, action)) ? undefined : NOT_OPEN
    case 'forward-remote':
      if (!restrictions.portForwarding) return NO_FORWARDING
      return permits(restrictions.permitListen, (entry) => listens(entry, action)) ? undefined : NOT_LISTEN
    case 'forward-socket': {
      if (!restrictions.portForwarding) return NO_FORWARDING
      // sshd lets sockets pass a list of ports; the writer of one did not mean /var/run/docker.sock.
      const lists = action.direction === 'local' ? restrictions.permitOpen : restrictions.permitListen
      return lists === undefined ? undefined : 'the key permits listed ports only'
    }
  }
  return undefined
}

const NO_FORWARDING = 'the key does not permit forwarding'
const NOT_OPEN = 'not among the ports that the key permits to open (permitopen)'
const NOT_LISTEN = 'not among the ports that the key permits to listen on (permitlisten)'

/** Of each key that was needed to log in. */
function permits(lists: Restrictions['permitOpen'], matches: (entry: string) => boolean): boolean {
  return lists === undefined || lists.every((list) => list.some(matches))
}

interface HostPort {
  readonly host: string
  readonly port: number
}

/** channels.c open_match: the host letter by letter, but for the spellings of one address, or "*". */
function opens(entry: string, { host, port }: HostPort): boolean {
  const wanted = hostAndPort(entry)
  return (
    wanted !== undefined &&
    samePort(wanted.port, port) &&
    (wanted.host === '*' || meantHost(wanted.host) === meantHost(host))
  )
}

/** channels.c remote_open_match: the host a pattern, its case not counted; a port alone is of any host. */
function listens(entry: string, { host, port }: HostPort): boolean {
  const wanted = hostAndPort(entry.includes(':') ? entry : `*:${entry}`)
  const spellings = [host.toLowerCase(), meantHost(host)]
  return wanted !== undefined && samePort(wanted.port, port) && spellings.some((one) => globMatches(wanted.host, one))
}

function samePort(wanted: string, port: number): boolean {
  return wanted === '*' || Number(wanted) === port
}

/** "host:port", "[v6]:port"; what cannot be read permits nothing. */
function hostAndPort(entry: string): { host: string; port: string } | undefined {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\*|\d{1,5})$/.exec(entry)
  return match ? { host: match[1] ?? match[2] ?? '', port: match[3] ?? '' } : undefined
}
