/** `authorization` of the configuration as somebody to ask; undefined: nobody. */
import type { Logger } from 'pino'
import type { Config } from '../config/schema.ts'
import { commandAsker } from './ask-command.ts'
import { webhookAsker } from './ask-webhook.ts'
import { createExternal, type External } from './external.ts'

/** @throws HatchwayError CONFIG_INVALID */
export function openExternal(
  { webhook, headers, ca, command, timeout }: Config['authorization'],
  { acceptEnv, engine }: { readonly acceptEnv: readonly string[]; readonly engine: string },
  log: Logger,
): External | undefined {
  const settings = { timeout, acceptEnv, engine }
  if (webhook) return createExternal({ ...settings, name: 'webhook', ask: webhookAsker(webhook, headers, ca) }, log)
  if (command) return createExternal({ ...settings, name: 'command', ask: commandAsker(command) }, log)
  return undefined
}
