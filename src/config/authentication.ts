/** Who may log in: keys, certificates and their authorities, passwords and people. Named as in sshd_config(5). */
import { z } from 'zod'
import { command, fileName, text } from './primitives.ts'
import { methods, users } from './users.ts'

/** sshd's default (CASignatureAlgorithms), without SHA-1. */
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

export const authentication = z.strictObject({
  authorizedKeys: z
    .array(fileName)
    .optional()
    .meta({
      description:
        'authorized_keys files: the keys that may log in. Default: ~/.ssh/authorized_keys and ~/.ssh/*.pub of the user who starts the gateway, and authorized_keys in keysDirectory.',
      examples: [['/etc/hatchway/authorized_keys']],
    }),
  authorizedKeysCommand: command.optional().meta({
    description:
      'A program that prints lines of authorized_keys for a login (AuthorizedKeysCommand), asked before the files. %u the requested user inside, %n the whole login name, %f %k %t fingerprint, key and type offered, %C addresses and ports, %% a percent sign.',
    examples: [['/usr/local/bin/keys-of', '%u', '%f']],
  }),
  authorizedKeysCommandUser: text.optional().meta({
    description:
      'The user that runs authorizedKeysCommand (AuthorizedKeysCommandUser). It must be set if the gateway is root; any other gateway can name only its own user.',
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
    .describe('Signature algorithms that authorities may use (CASignatureAlgorithms); SHA-1 is not available.'),
  authorizedPrincipals: z
    .array(text)
    .optional()
    .meta({
      description:
        'A certificate of a trusted authority must have one of these principals, * and ? as in sshd; ["*"] leaves it to the rules. Default: the requested user inside (dev), the login name (dev@web), and what users and rules name.',
      examples: [['hatchway', 'team-*']],
    }),
  authorizedPrincipalsFile: fileName.optional().meta({
    description:
      'A file with principals, one a line, options before them (AuthorizedPrincipalsFile), instead of that default. %u the requested user inside, %n the whole login name.',
    examples: ['/etc/hatchway/principals/%u'],
  }),
  authorizedPrincipalsCommand: command.optional().meta({
    description:
      'A program that prints the lines of such a file (AuthorizedPrincipalsCommand). Tokens of authorizedKeysCommand, and %i %s key id and serial of the certificate, %F %K %T fingerprint, key and type of its authority.',
    examples: [['/usr/local/bin/principals-of', '%u', '%i']],
  }),
  authorizedPrincipalsCommandUser: text.optional().meta({
    description: 'The user that runs authorizedPrincipalsCommand (AuthorizedPrincipalsCommandUser).',
    examples: ['nobody'],
  }),
  revokedKeys: z
    .array(fileName)
    .default([])
    .describe(
      'Key revocation lists (ssh-keygen -k) or files of public keys that are no longer accepted (RevokedKeys). While one cannot be read, no key is accepted.',
    ),
  pubkeyAuthOptions: z
    .array(z.enum(['touch-required', 'verify-required']))
    .default([])
    .describe('What every FIDO key must do, whatever its line says (PubkeyAuthOptions).'),
  authenticationMethods: methods
    .default(['publickey'])
    .describe(
      'What a login needs (AuthenticationMethods): lists of publickey, password and keyboard-interactive[:password|:totp], with commas between methods that must follow each other; one complete list is enough. Passwords are those of users below.',
    ),
  users: users
    .default({})
    .describe(
      'People by name: their keys, passwords, codes and groups. A login without a key says who it is before an equals sign: alice=dev@web.',
    ),
})
