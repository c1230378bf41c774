/**
 * The configuration: the one source for types, defaults, the commented example file (example.ts) and the JSON Schema.
 * Names of sshd_config(5) are kept, in camelCase. A new key goes here or into the part it belongs to, and nowhere else,
 * then `hatchway config example > config/hatchway.yaml`; the order of keys is the file's.
 */
import { z } from 'zod'
import { admin } from './admin.ts'
import { audit } from './audit.ts'
import { authentication } from './authentication.ts'
import { authorization } from './authorization.ts'
import { containers } from './containers.ts'
import type { Immutable } from './immutable.ts'
import { limits } from './limits.ts'
import { allLive, isLive, type LiveKeyOf, live } from './live.ts'
import { log } from './logging.ts'
import { metrics } from './metrics.ts'
import { parsed } from './parsed.ts'
import { block, duration, fileName } from './primitives.ts'
import { recording } from './recording.ts'
import { rules } from './rules.ts'
import { sessionKeys } from './sessions.ts'
import { parseAlias, parseListen } from './values.ts'

/** sshd's defaults, all of which ssh2 has. Those that are fast with AES hardware come first. */
const CIPHERS = [
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  'aes128-ctr',
  'aes192-ctr',
  'aes256-ctr',
  'chacha20-poly1305@openssh.com',
] as const

export const USUAL_ADDRESS = { host: '127.0.0.1', port: 2222 }

const listen = parsed(z.string(), parseListen, 'HOST:PORT or [V6ADDRESS]:PORT')

const proxyProtocol = z.strictObject({
  from: z
    .array(block)
    .prefault([])
    .describe(
      'Addresses of the proxies. A connection from there must begin with the header; from others it is not read.',
    ),
})

const drain = z.strictObject({
  limit: duration()
    .prefault('none')
    .describe(
      'How long it goes on with the connections that it has; then it stops as after SIGTERM. none: until they end, as with sshd.',
    ),
})

export const configSchema = z.strictObject({
  listen: z
    .array(listen)
    .min(1)
    .prefault([`${USUAL_ADDRESS.host}:${USUAL_ADDRESS.port}`])
    .describe(
      'Addresses to listen on. Port 0: any free port. An address beyond loopback lets the network in. Where this default is taken, as by Vagrant, the next free port up to 2232 is.',
    ),
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
    .meta({
      description:
        'Names of your own for containers. They still hold when a container is made again, and win over the names of containers.',
      examples: [{ web: 'compose:web.shop', db: 'label:app=db', old: 'name' }],
    }),
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
  ...allLive(authentication.shape),
  rules: live(
    rules.optional().meta({
      description:
        'Who may do what where (docs/policy.md). The first rule that applies decides; if none does, the request is refused. Without this key, whoever may log in may do everything, everywhere.',
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
  ),
  endWithdrawn: live(
    z
      .boolean()
      .default(false)
      .describe(
        'Whether a reload ends sessions and forwards that the rules no longer allow. They are also checked every half minute, for hours and expiry.',
      ),
  ),
  authorization: live(
    authorization
      .prefault({})
      .describe('An external authorization, asked about all that the rules allow or, without rules, about everything.'),
  ),
  ...containers.shape,
  ...sessionKeys.shape,
  limits: live(limits.prefault({}).describe('Limits, named as in sshd_config(5), with its defaults unless said.')),
  proxyProtocol: live(
    proxyProtocol
      .prefault({})
      .describe(
        "Proxies in front (HAProxy, a load balancer) that pass on the client's address by the PROXY protocol 1 or 2.",
      ),
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
  motd: live(
    fileName.optional().meta({
      description:
        'A file whose text is shown at the start of a login shell on a terminal (PrintMotd), read at each login. Containers have their own /etc/motd, which only their own login programs show.',
      examples: ['/etc/motd'],
    }),
  ),
  controlSocket: fileName.optional().meta({
    description:
      'The socket that `hatchway sessions` and `hatchway kill` talk to. Default: one for each gateway in $XDG_RUNTIME_DIR/hatchway, ~/.hatchway or, for root, /run/hatchway/control.',
    examples: ['/run/hatchway.sock'],
  }),
  shutdownGrace: duration()
    .prefault('30s')
    .describe(
      'After SIGTERM running sessions have this time to end, and no new ones begin; a second SIGTERM ends all.',
    ),
  drain: drain
    .prefault({})
    .describe(
      'Of a gateway that takes no new connections: after `hatchway restart`, `hatchway drain`, or a stop by systemd.',
    ),
  log: log.prefault({}).describe('The log.'),
  audit: audit
    .prefault({})
    .describe(
      'The audit trail: who got in, where, as whom, and what they did, so that it can be proved (docs/audit.md).',
    ),
  recording: recording
    .prefault({})
    .describe(
      'Records of what sessions show and do; who is recorded is said by rules and templates (docs/recording.md).',
    ),
  metrics: metrics
    .prefault({})
    .describe('What the gateway counts and measures, and whether it works (docs/operations.md, Watching it work).'),
  admin: admin
    .prefault({})
    .describe('A page for the operator: who is in, on which terminal, and what the trail has (docs/admin-page.md).'),
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
  'engines.*.tls.ca',
  'engines.*.tls.cert',
  'engines.*.tls.key',
  'banner',
  'motd',
  'controlSocket',
  'log.file',
  'audit.file',
  'audit.anchorFile',
  'recording.directory',
]

/** Keys whose values are secrets, or may hold one: messages do not repeat them. */
export const SECRET_KEYS: readonly string[] = [
  'authorizedKeysCommand',
  'authorizedPrincipalsCommand',
  'users.*.keys',
  'users.*.passwordHash',
  'users.*.totpSecret',
  'users.*.totpSecretFile',
  'authorization.webhook',
  'authorization.headers',
  'authorization.command',
  'engine.endpoint',
  'engines.*.endpoint',
  'engines.*.nodes',
  'templates.*.command',
  'templates.*.env',
  'templates.*.labels',
  'templates.*.pod',
  'environment.set',
  'audit.anchorCommand',
]

/** Keys that a reload applies. */
export type LiveKey = LiveKeyOf<(typeof configSchema)['shape']>
export const LIVE_KEYS = Object.entries(configSchema.shape).flatMap(([key, schema]) =>
  isLive(schema) ? [key as LiveKey] : [],
)

export type ConfigInput = z.input<typeof configSchema>
/** The configuration as the program uses it: defaults filled in, times in milliseconds, file names absolute. */
export type Config = Immutable<z.output<typeof configSchema>> & { readonly keysDirectory: string }
/** The keys that a reload may change, so that each use reads them anew. */
export type LiveConfig = Pick<Config, LiveKey>
/** The keys that hold until a restart. */
export type FixedConfig = Omit<Config, LiveKey>
export type Template = NonNullable<Config['templates']>[string]

export function configJsonSchema(): z.core.JSONSchema.JSONSchema {
  return z.toJSONSchema(configSchema, {
    io: 'input',
    // zod leaves examples out where a value is parsed further; ours show what people write.
    override({ zodSchema, jsonSchema }) {
      const examples = z.globalRegistry.get(zodSchema)?.examples
      if (Array.isArray(examples)) jsonSchema.examples = examples
    },
  })
}
