/** `authorization` of the configuration: a webhook or program that decides, too (docs/policy.md). */
import { z } from 'zod'
import { parsed } from './parsed.ts'
import { fileName, text, textOrNumber } from './primitives.ts'
import { parseDuration } from './values.ts'

/** The address of a webhook: http(s), or a unix socket ("unix:///run/authz.sock", "unix:///run/authz.sock:/path"). */
export interface Webhook {
  readonly url: string
  readonly socketPath?: string | undefined
}

function parseWebhook(text: string): Webhook | undefined {
  const socket = /^unix:\/\/(\/[^:]+)(?::(\/.*))?$/.exec(text)
  if (socket?.[1] !== undefined)
    return { url: new URL(socket[2] ?? '/', 'http://localhost').href, socketPath: socket[1] }
  try {
    const { href, protocol, username, password } = new URL(text)
    return ['http:', 'https:'].includes(protocol) && username === '' && password === '' ? { url: href } : undefined
  } catch {
    return undefined
  }
}

// An error in a header does not repeat its value, which may be a secret.
const header = z.string({ error: 'expected a text' }).regex(/^[\t\x20-\x7e]*$/, 'expected printable ASCII')

export const authorization = z.strictObject({
  webhook: parsed(z.string(), parseWebhook, 'http://, https:// or unix:///SOCKET[:/PATH], without a password in it')
    .optional()
    .meta({
      description: 'A URL that gets each question by POST and answers it (docs/policy.md).',
      examples: ['https://authz.example/hatchway'],
    }),
  headers: z
    .record(z.string().regex(/^[A-Za-z0-9-]+$/, 'expected a header name'), header)
    .default({})
    .describe('HTTP headers of each question, such as Authorization.'),
  ca: fileName.optional().meta({
    description: 'A file of authorities (PEM) for the webhook’s certificate, instead of the system’s.',
    examples: ['/etc/hatchway/authz-ca.pem'],
  }),
  command: z
    .array(text)
    .min(1)
    .optional()
    .meta({
      description:
        'A program that reads each question on stdin and answers on stdout. With a webhook, too, both must allow.',
      examples: [['/usr/local/bin/may-they']],
    }),
  timeout: parsed(textOrNumber, parseDuration, 'a time such as 3s')
    .prefault('3s')
    .describe('Without a complete answer in this time the request is refused.'),
})
