/**
 * The configuration: the one source for types, defaults, the commented example file (example.ts) and the JSON Schema.
 * Names of sshd_config(5) are kept, in camelCase. A new key goes here, and nowhere else, then `npm run config:example`.
 */
import { z } from 'zod'
import { parseBlock } from '../address.ts'
import { authorization } from './authorization.ts'
import type { Immutable } from './immutable.ts'
import { parsed } from './parsed.ts'
import { parsePenalties } from './penalties.ts'
import { rules } from './rules.ts'
import { templates } from './templates.ts'
import { methods, users } from './users.ts'
import {
  parseAlias,
  parseChannelTimeout,
  parseCount,
  parseDuration,
  parseListen,
  parseMaxStartups,
  parseNetBlockSize,
  parseRekeyLimit,
} from './values.ts'

/** ssh2 can do these; sshd's defaults without CBC. What is fast with AES hardware comes first. */
const CIPHERS = [
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  'aes128-ctr',
  'aes192-ctr',
  'aes256-ctr',
  'chacha20-poly1305@openssh.com',
] as const

/** sshd's default (CASignatureAlgorithms), which is without SHA-1, too. */
const CA_ALGORITHMS = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'sk-ssh-ed25519@openssh.com',
  'sk-ecdsa-sha2-nistp256@openssh.com',
  'rsa-sha2-512',
  'rsa-sha2-256',
] as const

const textOrNumber = z.union([z.string(), z.number()])
const duration = () => parsed(textOrNumber, parseDuration, 'a time such as 90, 120s, 2m or 1h30m (at most 24 days)')
const listen = parsed(z.string(), parseListen, 'HOST:PORT or [V6ADDRESS]:PORT')
const maxStartups = parsed(textOrNumber, parseMaxStartups, 'start:rate:full such as 10:30:100')
const rekeyLimit = parsed(z.string(), parseRekeyLimit, 'bytes and optionally a time such as "1G 1h"')
const count = () => parsed(textOrNumber, parseCount, 'a number from 1 on, or none')
const netBlockSize = parsed(textOrNumber, parseNetBlockSize, 'bits of IPv4 and IPv6 such as 32:128')
const penalties = parsed(z.string(), parsePenalties, 'no, yes, or penalties such as "authfail:5s noauth:1s max:10m"')
const channelTimeout = parsed(z.string(), parseChannelTimeout, 'a channel type and a time such as direct-tcpip=10m')
const block = parsed(z.string(), parseBlock, 'an address or a block of them such as 10.0.0.0/8 or 2001:db8::/32')
const mask = z
  .string()
  .regex(/^0?[0-7]{3}$/, 'expected octal digits in quotes, such as "0177"')
  .transform((digits) => Number.parseInt(digits, 8))
const fileName = z.string().min(1)
const text = z.string().min(1)
/** Arguments, or one line of them with quotes; never a shell's. */
const command = z.union([text, z.array(text).min(1)])
const envPattern = z.string().regex(/^[A-Za-z_*?][A-Za-z0-9_*?]*$/, 'expected a name or pattern such as LANG or LC_*')
const envName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'expected a variable name')
// A NUL ends a variable early in every engine: what follows would be lost without a word.
const envValue = z.string().refine((value) => !value.includes('\0'), 'a NUL byte cannot be in a variable')

const engine = z.strictObject({
  kind: z
    .enum(['auto', 'docker', 'cli'])
    .default('auto')
    .describe('docker: the Engine API socket. cli: a docker-compatible command line. auto: the socket if it answers.'),
  endpoint: text.optional().meta({
    description: 'Where the Engine API is. Default: DOCKER_HOST, else the usual sockets of Docker and Podman.',
    examples: ['unix:///var/run/docker.sock'],
  }),
  cli: text.optional().meta({
    description:
      'The command line program of the cli engine. Default: docker, else podman, else nerdctl, as installed.',
    examples: ['docker'],
  }),
})

const environment = z.strictObject({
  accept: z
    .array(envPattern)
    .default(['LANG', 'LC_*'])
    .describe('Variables a client may send (AcceptEnv), * and ? as in sshd. Everything else is ignored.'),
  set: z
    .record(envName, envValue)
    .default({})
    .describe('Variables set in every session (SetEnv); they win over what a client sends.'),
})

const limits = z.strictObject({
  maxAuthTries: z.int().min(1).max(100).default(6).describe('Authentication attempts in one connection.'),
  loginGraceTime: duration().prefault('120s').describe('A connection must have authenticated by then; 0: no limit.'),
  maxStartups: maxStartups
    .prefault('10:30:100')
    .describe(
      'start:rate:full: from `start` unauthenticated connections on, new ones are dropped with rate %, all at `full`.',
    ),
  perSourceMaxStartups: count()
    .prefault('none')
    .describe('The same for one source alone: how many of its connections may be unauthenticated at a time.'),
  perSourceNetBlockSize: netBlockSize
    .prefault('32:128')
    .describe('What one source is: the first bits of an IPv4 and an IPv6 address.'),
  perSourcePenalties: penalties
    .prefault(
      'crash:90s authfail:5s noauth:1s grace-exceeded:10s refuseconnection:10s max:10m min:15s max-sources4:65536 max-sources6:65536 overflow:permissive overflow6:permissive',
    )
    .describe(
      'A source that fails to log in is refused for a time, which adds up up to max and counts from min on; no: never.',
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
    .prefault('30s')
    .describe(
      "How often a silent client is asked whether it lives; 0: never. sshd's default is 0; here a lost client would keep a process in a container for as long as TCP believes in it, so we ask.",
    ),
  clientAliveCountMax: z
    .int()
    .min(0)
    .max(1000)
    .default(3)
    .describe('Unanswered questions after which it is gone; 0: it is never ended.'),
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
    .describe('So long before its end by these two a session says so; of a short limit, half of it.'),
  maxSessionsPerIdentity: count().prefault('none').describe('Open sessions of one identity, in all its connections.'),
  maxConnectionsPerIdentity: count()
    .prefault('none')
    .describe('Connections of one identity at a time. A jump through the gateway (ssh -J) is two.'),
})

const proxyProtocol = z.strictObject({
  from: z
    .array(block)
    .prefault([])
    .describe('Their addresses. Who connects from there must send the header; from others it is not read.'),
})

const log = z.strictObject({
  level: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info').describe('The least.'),
  format: z
    .enum(['auto', 'json', 'pretty'])
    .default('auto')
    .describe('json: one object a line. pretty: for people. auto: pretty on a terminal, else json.'),
  file: fileName.optional().meta({
    description: 'A file to append to. Default: standard error. SIGHUP opens it anew (logrotate).',
    examples: ['/var/log/hatchway.log'],
  }),
  commands: z
    .boolean()
    .default(false)
    .describe('Log the command text of sessions. Commands may hold secrets, hence off.'),
  files: z
    .boolean()
    .default(false)
    .describe('Log what sftp sessions do to files: opened, bytes read and written, renamed, removed, made, changed.'),
})

export const configSchema = z.strictObject({
  listen: z
    .array(listen)
    .min(1)
    .prefault(['127.0.0.1:2222'])
    .describe('Addresses to listen on. Port 0: any free port. An address beyond loopback lets the network in.'),
  keysDirectory: fileName.optional().meta({
    description:
      'Where keys that Hatchway makes are kept, mode 0700. Default: keys/ of the checkout it runs from, else ~/.local/state/hatchway/keys.',
    examples: ['/etc/hatchway/keys'],
  }),
  aliases: z
    .record(
      z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/, 'expected a name such as web'),
      parsed(z.string(), parseAlias, 'label:KEY=VALUE, label:KEY, compose:SERVICE.PROJECT or the name of a container'),
    )
    .default({})
    .describe(
      'Names of your own for containers, such as { web: "compose:web.shop", db: "label:app=db", old: "name" }: they survive that a container is made again, and win over the names of containers.',
    ),
  hostSuffixes: z
    .array(z.string().regex(/^\.[a-zA-Z0-9.-]+$/, 'expected a suffix such as .ctr'))
    .default(['.ctr'])
    .describe(
      'Taken off the host that a client names in a jump, HTTP CONNECT or SOCKS, so that one pattern in ssh_config (Host *.ctr) means all containers.',
    ),
  hostKeys: z
    .array(fileName)
    .default([])
    .describe('Private host key files (HostKey). None: ed25519, ecdsa and rsa keys are made in keysDirectory.'),
  hostCertificates: z
    .array(fileName)
    .default([])
    .describe(
      'Certificates of these host keys (HostCertificate), as `ssh-keygen -s CA -h` makes them: -cert.pub files.',
    ),
  authorizedKeys: z
    .array(fileName)
    .optional()
    .meta({
      description:
        'authorized_keys files of those who may enter. Default: ~/.ssh/authorized_keys and ~/.ssh/*.pub of who starts the gateway, and authorized_keys in keysDirectory.',
      examples: [['/etc/hatchway/authorized_keys']],
    }),
  authorizedKeysCommand: command.optional().meta({
    description:
      'A program that prints lines of authorized_keys for a login (AuthorizedKeysCommand), asked before the files. %u the user inside asked for, %n the whole login name, %f %k %t fingerprint, key and type offered, %C addresses and ports, %% a percent sign.',
    examples: [['/usr/local/bin/keys-of', '%u', '%f']],
  }),
  authorizedKeysCommandUser: text.optional().meta({
    description: 'Runs it (AuthorizedKeysCommandUser); must be set where the gateway is root, and can only be then.',
    examples: ['nobody'],
  }),
  trustedUserCAKeys: z
    .array(fileName)
    .default([])
    .describe('Files with public keys of authorities whose user certificates are accepted (TrustedUserCAKeys).'),
  caSignatureAlgorithms: z
    .array(z.enum(CA_ALGORITHMS))
    .min(1)
    .default([...CA_ALGORITHMS])
    .describe('How an authority may sign (CASignatureAlgorithms). There is no SHA-1 to allow.'),
  authorizedPrincipals: z
    .array(text)
    .optional()
    .meta({
      description:
        'Principals of which a certificate of a trusted authority must have one, * and ? as in sshd; ["*"] leaves it to the rules. Default: the user inside that is asked for (dev), the login name (dev@web), and what users and rules name.',
      examples: [['hatchway', 'team-*']],
    }),
  authorizedPrincipalsFile: fileName.optional().meta({
    description:
      'A file with principals, a line each, options before them (AuthorizedPrincipalsFile), asked instead of that default. %u the user inside asked for, %n the whole login name.',
    examples: ['/etc/hatchway/principals/%u'],
  }),
  authorizedPrincipalsCommand: command.optional().meta({
    description:
      'A program that prints such lines (AuthorizedPrincipalsCommand). Tokens of authorizedKeysCommand, and %i %s key id and serial of the certificate, %F %K %T fingerprint, key and type of its authority.',
    examples: [['/usr/local/bin/principals-of', '%u', '%i']],
  }),
  authorizedPrincipalsCommandUser: text.optional().meta({
    description: 'Runs it (AuthorizedPrincipalsCommandUser), as authorizedKeysCommandUser.',
    examples: ['nobody'],
  }),
  revokedKeys: z
    .array(fileName)
    .default([])
    .describe(
      'Key revocation lists (ssh-keygen -k) or files of public keys that are accepted no more (RevokedKeys). While one cannot be read no key is accepted.',
    ),
  pubkeyAuthOptions: z
    .array(z.enum(['touch-required', 'verify-required']))
    .default([])
    .describe('What every FIDO key must do, whatever its line says (PubkeyAuthOptions).'),
  authenticationMethods: methods
    .default(['publickey'])
    .describe(
      'What a login needs (AuthenticationMethods): lists of publickey, password and keyboard-interactive[:password|:totp], each a comma between what must follow; one completed list lets in. A password needs a user here who has one.',
    ),
  users: users
    .default({})
    .describe(
      'People by name: their keys, passwords, codes and groups. A login without a key says who it is before an equals sign: alice=dev@web.',
    ),
  rules: rules.optional().meta({
    description:
      'Who may do what where (docs/policy.md). The first rule that applies decides; where none does it is refused. Without this key: whoever may log in may do everything, everywhere.',
    examples: [
      [
        {
          name: 'developers',
          who: { groups: ['dev'] },
          containers: { names: ['web-*'] },
          users: ['dev'],
          actions: { shell: true, exec: true, sftp: true, forwardLocal: ['localhost:*'] },
        },
      ],
    ],
  }),
  endWithdrawn: z
    .boolean()
    .default(false)
    .describe(
      'Whether sessions and forwards end that the rules, read again, no longer allow; they are also looked at every half minute, for hours and expiry.',
    ),
  authorization: authorization
    .prefault({})
    .describe('Somebody else who decides, too: asked for all that the rules allow, or, without rules, for everything.'),
  engine: engine.prefault({}).describe('The container engine.'),
  guest: z
    .enum(['auto', 'off', 'require'])
    .default('auto')
    .describe('The guest helper inside containers. auto: where it can be delivered. require: refuse sessions without.'),
  guestMount: z
    .string()
    .regex(/^\//, 'expected an absolute path inside the containers')
    .optional()
    .meta({
      description:
        'Where containers have the helper mounted, if you mount it into them yourself (read-only, executable). Tried first.',
      examples: ['/opt/hatchway-guest'],
    }),
  startOnConnect: z
    .boolean()
    .default(false)
    .describe('Start a container that is stopped, and unpause one that is paused, when somebody who may wants in.'),
  stopAfter: duration()
    .optional()
    .meta({
      description:
        'Stop a container that the gateway started, that long after the last connection to it ended. Default: it stays.',
      examples: ['15m'],
    }),
  picker: z
    .enum(['search', 'lines'])
    .default('search')
    .describe(
      'How it is asked on a terminal which container, where none was named. lines: numbered lines and a typed answer, for everybody; else for TERM=dumb and who sends HATCHWAY_PICKER=lines.',
    ),
  templates: templates.optional().meta({
    description:
      'Containers that are made for who asks: ssh dev@+NAME has a fresh one, gone with the connection, ssh dev@~NAME one that is kept for its owner (docs/connecting.md).',
    examples: [
      {
        node: {
          image: 'node:22',
          user: 'node',
          mounts: [{ type: 'volume', source: 'home-{owner}', target: '/home/node' }],
          limits: { memory: '2g', cpus: 2, pids: 500 },
        },
      },
    ],
  }),
  onDisconnect: z
    .enum(['hangup', 'killTree'])
    .default('hangup')
    .describe(
      'When the client is gone: hangup ends the session and keeps jobs detached on purpose (nohup, setsid), as sshd does; killTree ends those too.',
    ),
  gatewayPorts: z
    .enum(['no', 'yes', 'clientspecified'])
    .default('no')
    .describe(
      'Where -R listens inside the container. no: on its loopback. yes: on all its addresses. clientspecified: as the client asks (GatewayPorts).',
    ),
  streamLocalBindUnlink: z
    .boolean()
    .default(false)
    .describe('Whether -R of a unix socket replaces a socket that is there (StreamLocalBindUnlink).'),
  streamLocalBindMask: mask
    .prefault('0177')
    .describe('Permission bits that a unix socket of -R does not get, in octal (StreamLocalBindMask).'),
  environment: environment.prefault({}).describe('Environment variables of sessions.'),
  limits: limits.prefault({}).describe('Limits, named as in sshd_config(5), with its defaults unless said.'),
  proxyProtocol: proxyProtocol
    .prefault({})
    .describe(
      'Proxies in front (HAProxy, a load balancer) that say for whom they speak, with the PROXY protocol 1 or 2.',
    ),
  ciphers: z
    .array(z.enum(CIPHERS))
    .min(1)
    .default([...CIPHERS])
    .describe(
      'Ciphers offered (Ciphers). The client picks; OpenSSH picks chacha20 if it may, aes*-gcm is faster with AES hardware.',
    ),
  banner: fileName.optional().meta({
    description: 'A file whose text is sent before authentication (Banner).',
    examples: ['/etc/issue.net'],
  }),
  motd: fileName.optional().meta({
    description:
      'A file whose text is shown at the start of a login shell on a terminal (PrintMotd), read at each login. Containers have their own /etc/motd, which only their own login programs show.',
    examples: ['/etc/motd'],
  }),
  controlSocket: fileName.optional().meta({
    description:
      'The socket that `hatchway sessions` and `hatchway kill` talk to. Default: one for each gateway in $XDG_RUNTIME_DIR/hatchway, ~/.hatchway or, for root, /run/hatchway/control.',
    examples: ['/run/hatchway.sock'],
  }),
  shutdownGrace: duration()
    .prefault('30s')
    .describe('At SIGTERM no new sessions are taken and running ones may end until then; a second SIGTERM ends all.'),
  log: log.prefault({}).describe('The log.'),
})

/** Keys that hold file names: relative to the file they stand in, ~ is the home directory. */
export const PATH_KEYS: readonly string[] = [
  'keysDirectory',
  'hostKeys',
  'hostCertificates',
  'authorizedKeys',
  'users.*.authorizedKeys',
  'users.*.totpSecretFile',
  'trustedUserCAKeys',
  'authorizedPrincipalsFile',
  'revokedKeys',
  'authorization.ca',
  'banner',
  'motd',
  'controlSocket',
  'log.file',
]

export type ConfigInput = z.input<typeof configSchema>
/** What the program runs by: every default filled in, times in milliseconds, file names absolute. */
export type Config = Immutable<z.output<typeof configSchema>> & { readonly keysDirectory: string }
export type Template = NonNullable<Config['templates']>[string]

export function configJsonSchema(): z.core.JSONSchema.JSONSchema {
  return z.toJSONSchema(configSchema, {
    io: 'input',
    // zod leaves examples out where a value is parsed further; ours are of what people write.
    override({ zodSchema, jsonSchema }) {
      const examples = z.globalRegistry.get(zodSchema)?.examples
      if (Array.isArray(examples)) jsonSchema.examples = examples
    },
  })
}
