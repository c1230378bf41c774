/** `hatchway config-ssh --dry-run`: Host entries for ~/.ssh/config, one for each running container. */

import { existsSync } from 'node:fs'
import { ownKey } from '../auth/key-files.ts'
import type { Config } from '../config/schema.ts'
import { openEngine } from '../engine/choose.ts'

const LIMIT = 20_000
/** Also keeps patterns, blanks and options out of the user's file: a container's name is not ours. */
const PLAIN_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/

export async function configSsh(config: Config): Promise<string> {
  const signal = AbortSignal.timeout(LIMIT)
  const engine = await openEngine(config.engine, signal)
  try {
    const containers = await engine.list(signal)
    const names = containers
      .filter(({ state, name }) => state === 'running' && PLAIN_NAME.test(name))
      .map(({ name }) => name)
    return sshConfig(names.sort(), config)
  } finally {
    await engine.close()
  }
}

export function sshConfig(names: readonly string[], config: Config): string {
  const [address = { host: '127.0.0.1', port: 2222 }] = config.listen
  const host = address.host === '0.0.0.0' || address.host === '::' ? '127.0.0.1' : address.host
  const key = ownKey(config.keysDirectory)
  const identity = config.authorizedKeys === undefined && existsSync(key) ? `  IdentityFile "${key}"\n` : ''
  const blocks = names.map(
    (name) =>
      `Host ${name}\n  HostName ${host}\n  Port ${address.port}\n  User ${name}\n  HostKeyAlias hatchway\n${identity}`,
  )
  return `# Hatchway: containers that run now. For another user inside: ssh -l dev@NAME NAME\n${blocks.join('\n')}`
}
