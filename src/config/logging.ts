/** `log` of the configuration. */
import { z } from 'zod'
import { fileName } from './primitives.ts'

export const log = z.strictObject({
  level: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .default('info')
    .describe('The least severe level that is logged.'),
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
