/** What an external authorization is asked and answers, as JSON: `hatchway policy schema` prints both as JSON Schema. */
import { z } from 'zod'
import { rules } from '../config/rules.ts'

const endpoint = z.object({ address: z.string(), port: z.int() })

const action = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('enter').describe('Know of the container; with a user: be let in as that user at all.') }),
  z.object({ kind: z.literal('start') }),
  z.object({ kind: z.literal('debug') }),
  z.object({ kind: z.literal('create'), template: z.string(), personal: z.boolean() }),
  z.object({ kind: z.literal('shell') }),
  z.object({ kind: z.literal('exec'), command: z.string().describe('As UTF-8; goes to the user’s shell as it is.') }),
  z.object({ kind: z.literal('sftp') }),
  z.object({ kind: z.literal('pty') }),
  z.object({ kind: z.literal('env'), name: z.string() }),
  z.object({ kind: z.literal('agent') }),
  z.object({ kind: z.literal('x11') }),
  z.object({ kind: z.literal('forward-local'), host: z.string(), port: z.int() }),
  z.object({
    kind: z.literal('forward-remote'),
    host: z.string().describe('As the client sent it.'),
    port: z.int(),
    bound: z.string().optional().describe('What gatewayPorts makes of the host; "" is every address.'),
  }),
  z.object({ kind: z.literal('forward-socket'), path: z.string(), direction: z.enum(['local', 'remote']) }),
])

export const questionSchema = z.object({
  version: z.literal(1),
  time: z.iso.datetime(),
  identity: z.object({
    name: z.string(),
    method: z.string().describe('"publickey", "publickey,keyboard-interactive", ...'),
    fingerprint: z.string().describe('SHA256:..., "" where no key was used.'),
    groups: z.array(z.string()),
    principals: z.array(z.string()).describe('Of the certificate.'),
    source: z.string().describe('Where it is authorised: FILE:LINE, ca FINGERPRINT.'),
  }),
  connection: z.object({ id: z.string(), login: z.string().describe('As the client sent it.'), remote: endpoint }),
  container: z.object({
    id: z.string(),
    name: z.string(),
    image: z.string(),
    labels: z.record(z.string(), z.string()),
    engine: z.string().optional().describe('The name of its engine, where there are several.'),
  }),
  engine: z.string().describe('Where the container’s engine is.'),
  user: z
    .object({ name: z.string(), uid: z.int(), gid: z.int() })
    .optional()
    .describe(
      'As whom inside, as the container’s passwd and its own user have it. Absent: the container alone is asked for.',
    ),
  action,
})

export type ExternalQuestion = z.infer<typeof questionSchema>

const ttl = z
  .number()
  .min(0)
  .max(86_400)
  .optional()
  .describe('Seconds that this holds for the connection; 0: ask each time. Without it: as long as the connection.')

export const answerSchema = z.union([
  z.strictObject({
    allow: z.literal(true),
    readOnly: z.boolean().optional().describe('sftp: to read only.'),
    ttl,
  }),
  z.strictObject({
    allow: z.literal(false),
    message: z.string().max(300).optional().describe('For the user.'),
    ttl,
  }),
  z.strictObject({
    rules: rules.max(1000).describe('As `rules` of the configuration; they decide on all that the connection asks.'),
    ttl,
  }),
])

export type ExternalAnswer = z.output<typeof answerSchema>

export function externalJsonSchemas() {
  return {
    question: z.toJSONSchema(questionSchema, { io: 'input' }),
    answer: z.toJSONSchema(answerSchema, { io: 'input' }),
  }
}
