/** Templates of containers that are made on demand: `ssh dev@+node`, `ssh dev@~node`. */
import { z } from 'zod'
import { envName, text, textOrNumber } from './primitives.ts'
import { record } from './recording.ts'

// The grammar of the engines' own references; no leading dash, so that no command line takes it for an option.
const image = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9._\-/:@]{0,255}$/, 'expected an image such as node:22')
const value = z.string().refine((given) => !given.includes('\0'), 'a NUL byte cannot be in it')
const NOT_OURS = /^(?!hatchway\.(?!allow$|users$))[^=\s]+$/
const inside = z.string().regex(/^\//, 'expected an absolute path inside the container')

const memory = textOrNumber
  .transform((given, context) => {
    const [, digits = '', unit = ''] = /^(\d{1,15})([bkmg]?)$/i.exec(String(given)) ?? []
    const bytes = Number(digits) * 1024 ** 'bkmg'.indexOf(unit.toLowerCase() || 'b')
    if (digits !== '' && Number.isSafeInteger(bytes) && bytes > 0) return bytes
    context.issues.push({ code: 'custom', input: given, message: 'expected a size such as 512m or 2g' })
    return z.NEVER
  })
  .optional()

const mount = z
  .strictObject({
    type: z.enum(['bind', 'volume', 'tmpfs']).default('volume'),
    source: text.optional().describe('Host path or volume name; {owner} in it becomes the owner, as 32 hex digits.'),
    target: inside,
    readOnly: z.boolean().default(false),
  })
  .superRefine(({ type, source }, context) => {
    const complain = (message: string) => context.addIssue({ code: 'custom', message, path: ['source'] })
    if (type === 'bind' && !source?.startsWith('/')) complain('a bind mount needs an absolute host path')
    if (type === 'tmpfs' && source !== undefined) complain('a tmpfs has no source')
  })

/** The API server judges the rest of it. */
const podParts = z.strictObject({
  metadata: z
    .strictObject({
      labels: z.record(z.string().regex(NOT_OURS, 'expected a label that is not ours'), z.string()).optional(),
      annotations: z
        .record(z.string().regex(NOT_OURS, 'expected an annotation that is not ours'), z.string())
        .optional(),
    })
    .optional(),
  spec: z
    .looseObject({
      containers: z.array(z.looseObject({ name: z.string() })).optional(),
      volumes: z.array(z.looseObject({ name: z.string() })).optional(),
    })
    .optional(),
})

const pod = z.record(z.string(), z.unknown()).transform((given, context) => {
  const found = podParts.safeParse(given)
  if (found.success) return found.data
  for (const issue of found.error.issues) {
    const message = issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message
    context.issues.push({ code: 'custom', input: given, message, path: [...issue.path] })
  }
  return z.NEVER
})

const template = z.strictObject({
  image: image.meta({ description: 'The image.', examples: ['node:22'] }),
  engine: text
    .optional()
    .meta({ description: 'Which of several engines makes it. Default: the first of engines.', examples: ['build1'] }),
  command: z
    .array(value)
    .optional()
    .meta({
      description:
        "The command that keeps it running; []: the image's entrypoint and command. Default: a shell that waits and reaps (needs /bin/sh).",
      examples: [['sleep', 'infinity']],
    }),
  user: text.optional().meta({ description: 'The user inside, if the login names none.', examples: ['node'] }),
  workdir: inside.optional().meta({ description: 'The working directory.', examples: ['/srv'] }),
  env: z.record(envName, value).default({}).describe('Environment variables.'),
  labels: z
    .record(z.string().regex(NOT_OURS, 'expected a label that is not ours'), value)
    .default({})
    .describe('Labels; of those of hatchway.* only hatchway.allow and hatchway.users.'),
  mounts: z
    .array(mount)
    .default([])
    .meta({
      description: 'Volumes, bind mounts and tmpfs; {owner} in a source becomes the owner, as 32 hex digits.',
      examples: [[{ type: 'volume', source: 'home-{owner}', target: '/home/node' }]],
    }),
  network: text.optional().meta({ description: 'The network to join.', examples: ['web'] }),
  limits: z
    .strictObject({
      memory: memory.meta({ description: 'Bytes, or such as 512m or 2g.', examples: ['2g'] }),
      cpus: z
        .number()
        .positive()
        .max(1024)
        .optional()
        .meta({ description: 'How many processors.', examples: [2] }),
      pids: z
        .int()
        .min(1)
        .optional()
        .meta({ description: 'How many processes and threads.', examples: [500] }),
    })
    .prefault({})
    .describe('Limits of the container; absent: none.'),
  init: z.boolean().default(false).describe("The engine's own init as process 1."),
  pod: pod.optional().meta({
    description:
      'With kind: kubernetes, what else its pod has, as a pod template of a manifest (docs/kubernetes.md). What is said here and what the gateway must set comes over it.',
    examples: [{ spec: { serviceAccountName: 'people', nodeSelector: { pool: 'dev' } } }],
  }),
  pull: z.enum(['missing', 'always', 'never']).default('missing').describe('When to pull the image.'),
  record: record.optional().meta({
    description: 'What is recorded in it, whatever a rule says, if that is stricter.',
    examples: ['required'],
  }),
  perIdentity: z.int().min(1).max(1000).default(5).describe('How many fresh ones an identity may have at once.'),
})

/** Docker's names have at most 253 characters; ours add little to the template's. */
const templateName = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$/, 'expected a name such as node')

export const templates = z.record(templateName, template)
