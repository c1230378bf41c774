/** What sessions and forwards find inside, and what their end leaves there. */
import { z } from 'zod'
import { live } from './live.ts'
import { envName, envValue } from './primitives.ts'

const mask = z
  .string()
  .regex(/^0?[0-7]{3}$/, 'expected octal digits in quotes, such as "0177"')
  .transform((digits) => Number.parseInt(digits, 8))
const envPattern = z.string().regex(/^[A-Za-z_*?][A-Za-z0-9_*?]*$/, 'expected a name or pattern such as LANG or LC_*')

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

/** Shells by the names of their files; also some that no system lists in /etc/shells. */
const SHELLS =
  'sh bash dash ash zsh ksh ksh93 mksh oksh loksh yash fish csh tcsh nu elvish xonsh pwsh rc es osh ysh'.split(' ')

export const sessionKeys = z.strictObject({
  onDisconnect: live(
    z
      .enum(['hangup', 'killTree'])
      .default('hangup')
      .describe(
        'When the client is gone: hangup ends the session and keeps jobs detached on purpose (nohup, setsid), as sshd does; killTree ends those too.',
      ),
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
    .describe('Whether -R of a unix socket replaces an existing socket (StreamLocalBindUnlink).'),
  streamLocalBindMask: mask
    .prefault('0177')
    .describe('Permission bits that a unix socket of -R does not get, in octal (StreamLocalBindMask).'),
  unrestrictedShells: live(
    z
      .array(z.string().regex(/^[^/\s]+$/, 'expected the name of a file, such as bash'))
      .default(SHELLS)
      .describe(
        'Login shells, by file name, that do not restrict their user. Any other shell (git-shell, rbash, a program) starts sftp itself, as with sshd, or refuses to.',
      ),
  ),
  environment: live(environment.prefault({}).describe('Environment variables of sessions.')),
})
