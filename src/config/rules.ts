/**
 * The policy's table as it stands in a configuration: who x containers x users x actions x from x when. A rule applies
 * if each of its keys does; a list's entries are alternatives. src/policy/rules.ts applies them.
 */
import { z } from 'zod'
import { parseBlock } from '../net/address.ts'
import type { Immutable } from './immutable.ts'
import { parsed } from './parsed.ts'
import { record } from './recording.ts'
import { parseHostPort, parseWindow } from './rule-values.ts'

/** Long enough for any name; short enough that matching one costs nothing. */
const pattern = z.string().min(1).max(256)
const patterns = z.array(pattern).min(1).max(256)
const fingerprint = z.string().regex(/^SHA256:[A-Za-z0-9+/]{43}$/, 'expected a fingerprint as ssh-keygen -l prints it')

const who = z.strictObject({
  identities: patterns.optional().describe('Names of people: of a configured user, else the comment of the key.'),
  groups: patterns.optional().describe('Groups of configured users.'),
  keys: z.array(fingerprint).min(1).max(256).optional().describe('SHA256:..., as ssh-keygen -l prints it.'),
  principals: patterns.optional().describe('Of the certificate that let them in.'),
})

const containers = z.strictObject({
  names: patterns.optional().describe('Names of containers.'),
  images: patterns.optional().describe('As docker ps shows them: alpine, registry.example/app:*.'),
  labels: z.record(z.string().min(1), z.string().max(256)).optional().describe('All of them; the value is a pattern.'),
  projects: patterns.optional().describe('Compose projects.'),
  engines: patterns
    .optional()
    .describe(
      'The name of the engine where there are several, or where it is, as in the log: build1, unix:///var/run/docker.sock.',
    ),
})

const hostPorts = z
  .array(parsed(z.string().max(300), parseHostPort, 'HOST:PORT, such as localhost:5432, db:*, 10.0.0.0/8:80-90'))
  .min(1)
  .max(256)

const or = <T extends z.ZodType>(list: T, error: string) => z.union([z.boolean(), list], { error })

const actions = z.strictObject({
  shell: z.boolean().optional().describe('A login shell.'),
  exec: or(patterns, 'expected true, false or a list of command patterns')
    .optional()
    .describe('Commands. In patterns * and ? match no character that means something to a shell.'),
  sftp: z
    .union([z.boolean(), z.literal('read-only')], { error: 'expected true, false or read-only' })
    .optional()
    .describe('sftp, and scp by it; read-only: nothing is changed.'),
  forwardLocal: or(hostPorts, 'expected true, false or a list of HOST:PORT').optional().describe('ssh -L, -D, -W.'),
  forwardRemote: or(hostPorts, 'expected true, false or a list of HOST:PORT')
    .optional()
    .describe('ssh -R: the address and port to listen on inside.'),
  forwardSocket: or(patterns, 'expected true, false or a list of path patterns')
    .optional()
    .describe('Unix sockets, -L and -R.'),
  agent: z.boolean().optional().describe('ssh -A.'),
  x11: z.boolean().optional().describe('ssh -X.'),
  pty: z.boolean().optional().describe('A terminal; without the key: where shell or exec are allowed.'),
  env: or(patterns, 'expected true, false or a list of variable names')
    .optional()
    .describe('Variables a client may send; without the key: environment.accept.'),
  start: z.boolean().optional().describe('Start or unpause a container that does not run.'),
  debug: z.boolean().optional().describe('Have a debug container put beside one without a shell (Kubernetes).'),
  create: or(patterns, 'expected true, false or a list of template names')
    .optional()
    .describe('Have a container made from a template.'),
})

const network = parsed(
  z.string(),
  parseBlock,
  'an address or network such as 10.0.0.0/8 or 2001:db8::/32, with no bits set past its length',
)

const rule = z
  .strictObject({
    name: z.string().min(1).max(64).optional().describe('For the log and `hatchway policy explain`.'),
    effect: z.enum(['allow', 'deny']).default('allow'),
    who: who.optional().describe('Without it: whoever logged in.'),
    containers: containers.optional().describe('Without it: all.'),
    users: patterns
      .optional()
      .describe('Users inside: names, patterns, uids. root (uid 0) must be named: no pattern matches it.'),
    actions: actions.optional().describe('Without it: all.'),
    from: z.array(network).min(1).max(256).optional().describe("Networks of the client's address."),
    when: z
      .array(parsed(z.string(), parseWindow, 'days, hours and a time zone such as "Mon-Fri 08:00-18:00 Europe/Berlin"'))
      .min(1)
      .max(64)
      .optional()
      .describe('Days, hours and time zone.'),
    record: record
      .optional()
      .describe(
        'What of their sessions is kept: off, best-effort, required, or { mode, of, notice } (docs/recording.md).',
      ),
    message: z.string().min(1).max(300).optional().describe('What the user reads if this rule refuses.'),
  })
  .superRefine((value, context) => {
    const given = Object.entries(value.actions ?? {})
    const complain = (message: string, path: string[]) => context.addIssue({ code: 'custom', message, path })
    if (value.actions && !given.some(([, granted]) => granted !== false)) complain('names no action', ['actions'])
    if (value.effect === 'deny' && value.actions?.sftp === 'read-only')
      complain('a rule that denies takes true or false', ['actions', 'sftp'])
    if (value.effect === 'allow' && value.message !== undefined)
      complain('only a rule that denies has something to say', ['message'])
    if (value.effect === 'deny' && value.record !== undefined)
      complain('a rule that denies lets nothing be recorded', ['record'])
  })

export const rules = z.array(rule).max(10_000)

export type Rule = Immutable<z.output<typeof rule>>
export type RuleInput = z.input<typeof rule>
