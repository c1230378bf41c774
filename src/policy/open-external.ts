/** `authorization` of the configuration as somebody to ask; undefined: nobody. */
import type { Logger } from 'pino'
import type { Config } from '../config/schema.ts'
import type { EngineNaming } from '../engine/engine.ts'
import { commandAsker } from './ask-command.ts'
import { webhookAsker } from './ask-webhook.ts'
import { createExternal, type External } from './external.ts'
import { joined } from './joined.ts'

/** @throws HatchwayError CONFIG_INVALID */
export function openExternal(
  { webhook, headers, ca, command, timeout }: Config['authorization'],
  { acceptEnv, engine }: { readonly acceptEnv: readonly string[]; readonly engine: EngineNaming },
  log: Logger,
): External | undefined {
  const settings = { timeout, acceptEnv, engine }
  const all: External[] = []
  if (webhook) all.push(createExternal({ ...settings, name: 'webhook', ask: webhookAsker(webhook, headers, ca) }, log))
  if (command) all.push(createExternal({ ...settings, name: 'command', ask: commandAsker(command) }, log))
  const [first, second] = all
  return first && second ? both(first, second) : first
}

/** Each may refuse, and the second is not asked what the first refused. */
function both(first: External, second: External): External {
  return async (request) => {
    const one = await first(request)
    if (!one.allowed) return one
    const two = await second(request)
    return two.allowed ? joined(two, one) : two
  }
}
