/** `limits` of the configuration: what a source, a connection, a session and an identity may have, and for how long. */
import { z } from 'zod'
import { parsed } from './parsed.ts'
import { parsePenalties } from './penalties.ts'
import { block, count, duration, textOrNumber } from './primitives.ts'
import { parseChannelTimeout, parseMaxStartups, parseNetBlockSize, parseRekeyLimit } from './values.ts'

const maxStartups = parsed(textOrNumber, parseMaxStartups, 'start:rate:full such as 10:30:100')
const rekeyLimit = parsed(z.string(), parseRekeyLimit, 'bytes and optionally a time such as "1G 1h"')
const netBlockSize = parsed(textOrNumber, parseNetBlockSize, 'bits of IPv4 and IPv6 such as 32:64')
const penalties = parsed(z.string(), parsePenalties, 'no, yes, or penalties such as "authfail:5s noauth:1s max:10m"')
const channelTimeout = parsed(z.string(), parseChannelTimeout, 'a channel type and a time such as direct-tcpip=10m')

export const limits = z.strictObject({
  maxAuthTries: z.int().min(1).max(100).default(6).describe('Authentication attempts in one connection.'),
  loginGraceTime: duration().prefault('120s').describe('A connection must have authenticated by then; 0: no limit.'),
  maxStartups: maxStartups
    .prefault('150:30:300')
    .describe(
      "start:rate:full: from `start` unauthenticated connections on, new ones are dropped with rate %, all at `full`. sshd's default is 10:30:100, for each of its connections is a process; `ansible -f 50` begins fifty at once.",
    ),
  perSourceMaxStartups: count()
    .prefault(100)
    .describe(
      "The same for one source alone: how many of its connections may be unauthenticated at a time. sshd's default is none; with fewer than `start` of maxStartups one source keeps nobody else out.",
    ),
  perSourceNetBlockSize: netBlockSize
    .prefault('32:64')
    .describe(
      "What one source is: the first bits of an IPv4 and an IPv6 address. sshd's default is 32:128; a client with IPv6 has a /64 of addresses.",
    ),
  perSourcePenalties: penalties
    .prefault(
      'crash:90s authfail:5s noauth:1s grace-exceeded:10s refuseconnection:10s max:10m min:15s max-sources4:65536 max-sources6:65536 overflow:permissive overflow6:permissive',
    )
    .describe(
      'A source that fails to log in is refused for a time. The times add up, to max at most, and apply from min on; no: never.',
    ),
  perSourcePenaltyExemptList: z
    .array(block)
    .prefault(['127.0.0.0/8', '::1'])
    .describe(
      "Sources that get no penalty. sshd's default is none; here your own machine is where most logins come from.",
    ),
  refuseConnection: z.array(block).prefault([]).describe('Sources that are not let in at all (RefuseConnection).'),
  maxSessions: z.int().min(0).max(10_000).default(10).describe('Open sessions in one connection.'),
  clientAliveInterval: duration()
    .prefault('60s')
    .describe(
      "How often a silent client is asked whether it lives; 0: never. sshd's default is 0, but then a lost client keeps a process in a container for as long as TCP waits.",
    ),
  clientAliveCountMax: z
    .int()
    .min(0)
    .max(1000)
    .default(9)
    .describe(
      "Unanswered requests after which the connection is closed; 0: never. With 60s and 9 a shell outlives a network, or a sleeping laptop, that is away for nine minutes; sshd's 3 count only where an interval is set.",
    ),
  rekeyLimit: rekeyLimit.prefault('1G 1h').describe('New keys after that many bytes, or that time (RFC 4253 §9).'),
  channelTimeout: z
    .array(channelTimeout)
    .prefault([])
    .describe(
      'Channels that are closed when no byte passed for a time: type=time, the first pattern that fits counts. Types: session:shell, session:command, session:subsystem:sftp (session: all of them), direct-tcpip, direct-streamlocal@openssh.com, forwarded-tcpip, forwarded-streamlocal@openssh.com, agent-connection, x11-connection; global: all together.',
    ),
  unusedConnectionTimeout: duration()
    .prefault('none')
    .describe('A connection that has no channel for that long is closed.'),
  sessionIdleTimeout: duration()
    .prefault('none')
    .describe('A session that carries no byte, either way, for that long ends. Its user is warned before.'),
  sessionMaxTime: duration().prefault('none').describe('A session ends after that time, whatever it does.'),
  sessionTimeoutWarning: duration()
    .prefault('1m')
    .describe(
      'How long before the end by sessionIdleTimeout or sessionMaxTime a session is warned; of a short limit, half of it.',
    ),
  maxSessionsPerIdentity: count().prefault('none').describe('Open sessions of one identity, in all its connections.'),
  maxConnectionsPerIdentity: count()
    .prefault(100)
    .describe(
      'Connections of one identity at a time; a jump through the gateway (ssh -J) is two. sshd has no such limit: each of its connections is a process that the system counts.',
    ),
})
