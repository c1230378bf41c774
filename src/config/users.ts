/** `users` and `authenticationMethods` of the configuration. */
import { z } from 'zod'
import { USER_NAME } from '../base/login-name.ts'
import { text } from './primitives.ts'
import { parsePasswordHash, parseTotp } from './secrets.ts'

const METHOD = /^(publickey|password|keyboard-interactive(:(password|totp))?)$/

/** Parses AuthenticationMethods as sshd_config(5) writes it; undefined for anything else. */
export function parseMethods(value: string | readonly string[]): string[][] | undefined {
  const lists = (typeof value === 'string' ? value.trim().split(/\s+/) : value).map((list) => list.split(','))
  if (lists.length === 0 || !lists.flat().every((method) => METHOD.test(method))) return undefined
  // A code is a second factor: six digits alone can be tried out, and a stranger could lock its owner out.
  return lists.some(([first]) => first === 'keyboard-interactive:totp') ? undefined : lists
}

const METHODS_EXPECTED =
  'expected lists such as [publickey] or ["publickey,keyboard-interactive"] of publickey, password, keyboard-interactive, keyboard-interactive:password and, not first, keyboard-interactive:totp'

export const methods = z
  .union([z.string(), z.array(z.string())], { error: METHODS_EXPECTED })
  .refine((value) => parseMethods(value) !== undefined, { error: METHODS_EXPECTED })

// These messages do not repeat the value: it is a secret, or was meant to be one.
const passwordHash = z
  .string({ error: 'expected a text, as `hatchway hash-password` prints it' })
  .refine((text) => parsePasswordHash(text) !== undefined, {
    error: 'expected $scrypt$ln=...,r=...,p=...$SALT$HASH, as `hatchway hash-password` prints it',
  })
const totpSecret = z
  .string({ error: 'expected a text, as `hatchway totp-secret` prints it' })
  .refine((text) => parseTotp(text) !== undefined, {
    error: 'expected a secret in base32 of 16 letters or more, or an otpauth://totp/ URI with 6 to 8 digits',
  })

const user = z.strictObject({
  groups: z
    .array(text)
    .default([])
    .meta({ description: 'Names that rules may ask for.', examples: [['developers']] }),
  keys: z
    .array(text)
    .default([])
    .meta({
      description:
        'Public keys that may log in, with options as in authorized_keys; or SHA256:... fingerprints of keys that are authorised elsewhere (authorizedKeys, authorizedKeysCommand), to say whose they are.',
      examples: [['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEYXsIfgTPk0kYQS2SxpyDHGVyDJSDXvHhPOeNlxWNVH alice@laptop']],
    }),
  authorizedKeys: z
    .array(text)
    .default([])
    .meta({ description: 'authorized_keys files with keys of this user.', examples: [['users/alice.keys']] }),
  principals: z
    .array(text)
    .default([])
    .meta({
      description: 'An accepted certificate with one of these principals is this user.',
      examples: [['alice@example.com']],
    }),
  passwordHash: passwordHash.optional().meta({
    description: 'From `hatchway hash-password`. Used where authenticationMethods ask for a password.',
    examples: ['$scrypt$ln=15,r=8,p=3$bm90LWEtcmVhbC1zYWx0$z6Vy1sGzV0uY0p1lXo2lZq3WQn0pHcJr8gk4F2d5Yw8'],
  }),
  totpSecret: totpSecret.optional().meta({
    description:
      'From `hatchway totp-secret`: base32, or an otpauth:// URI. Keep this file secret, or use totpSecretFile.',
    examples: ['JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'],
  }),
  totpSecretFile: text.optional().meta({
    description: 'A file with that secret and nothing else, readable by nobody but the gateway.',
    examples: ['users/alice.totp'],
  }),
  authenticationMethods: methods.optional().meta({
    description: "Replaces the gateway's authenticationMethods for this user.",
    examples: [['publickey,keyboard-interactive']],
  }),
})

const oneSecret = (value: { totpSecret?: string | undefined; totpSecretFile?: string | undefined }) =>
  value.totpSecret === undefined || value.totpSecretFile === undefined

export const users = z.record(
  z.string().regex(USER_NAME, 'expected a name of letters, digits, ".", "_", "-" and "@", at most 64'),
  user.refine(oneSecret, { error: 'totpSecret and totpSecretFile: only one of them' }),
)
