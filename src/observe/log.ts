/** The log: pino, JSON for machines and pino-pretty in this process for people. Fields are the project's terms. */
import { isatty } from 'node:tty'
import pino from 'pino'
import { escapeOf, printableJson } from '../base/printable.ts'
import type { Config } from '../config/schema.ts'
import { createLineQuota } from './log-quota.ts'
import { openSink, writeStderr } from './log-sink.ts'

export type Logger = pino.Logger

export interface Log {
  readonly log: Logger
  reopen(): void
  close(): Promise<void>
}

/** Of each text of an error: a stack has some twenty lines. */
const MAX_ERROR_TEXT = 4000

/** Never to be in a log, however it got into an object. */
const SECRETS = ['password', 'passphrase', 'cookie', 'token', 'secret', 'privateKey', 'signature']

export async function createLog(settings: Config['log']): Promise<Log> {
  const sink = openSink(settings.file, writeStderr)
  const pretty =
    settings.format === 'pretty' || (settings.format === 'auto' && settings.file === undefined && isatty(2))
  const format = pretty ? await prettyLine(settings.file === undefined && isatty(2)) : undefined
  const within = createLineQuota()
  const log = pino(
    {
      level: settings.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: boundedError },
      redact: { paths: SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '[redacted]' },
    },
    {
      write: (line: string) => {
        for (const said of within(line)) sink.write(format ? format(said) : printableJson(said))
      },
    },
  )
  return { log, reopen: () => sink.reopen(), close: () => sink.close() }
}

/** An error repeats what a client said in its message, and its stack repeats the message. */
function boundedError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const said = Object.entries(pino.stdSerializers.err(error)).map(([key, value]) => [
    key,
    typeof value === 'string' && value.length > MAX_ERROR_TEXT ? `${value.slice(0, MAX_ERROR_TEXT)}...` : value,
  ])
  return Object.fromEntries(said)
}

/** pino-pretty as a plain function: its worker-thread transport costs start time and can lose the last lines. */
async function prettyLine(colorize: boolean): Promise<(line: string) => string> {
  const { prettyFactory } = await import('pino-pretty')
  const format = prettyFactory({ colorize, singleLine: true, translateTime: 'SYS:HH:MM:ss.l', ignore: 'hostname,pid' })
  return (line) => format(keepEscapes(line))
}

/**
 * JSON keeps control characters of hostile text harmless as escapes; pino-pretty would decode them onto the terminal.
 * Doubling the backslash makes the decoded text the escape itself. Newlines and tabs stay: stack traces have them.
 */
export function keepEscapes(json: string): string {
  const kept = json.replaceAll(/\\(?:\\|u00[0-9a-f]{2}|[bfr])/gi, (found) => (found === '\\\\' ? found : `\\${found}`))
  return printableJson(kept, (char) => `\\${escapeOf(char)}`)
}
