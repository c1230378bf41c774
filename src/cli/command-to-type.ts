/** Returns the ssh command that works here and now, with a usable key and a running container. */

import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'
import type { Gateway } from '../app.ts'
import { ownKey } from '../auth/key-files.ts'
import { replaceFile } from '../base/whole-file.ts'
import type { Config } from '../config/schema.ts'
import { isHostName } from '../container/host-names.ts'
import { fullName } from '../engine/ref.ts'
import { deadline } from '../lifetime/deadline.ts'
import { knownHostsText, optionPath } from './ssh-config/entries.ts'

const ENGINE_MS = 5_000
const UNSPECIFIED = new Set(['0.0.0.0', '::'])

/** With absolute paths: it is typed wherever the person is. */
export async function commandToType(
  gateway: Pick<Gateway, 'endpoints' | 'engine'>,
  config: Config,
  knownHosts: string | undefined,
): Promise<string> {
  const [endpoint] = gateway.endpoints
  const port = endpoint?.port ?? 22
  const address = endpoint?.address ?? '127.0.0.1'
  const host = UNSPECIFIED.has(address) ? '127.0.0.1' : address
  const containers = await gateway.engine.list(deadline(ENGINE_MS)).catch(() => [])
  const running = containers.filter(({ state, name }) => state === 'running' && isHostName(name))
  const name = running.map(fullName).sort()[0] ?? 'CONTAINER'
  const key = await usableOwnKey(config)
  const options = [
    ...(knownHosts === undefined ? [] : ['-o', shellWord(`UserKnownHostsFile=${optionPath(knownHosts)}`)]),
    ...(key === undefined ? [] : ['-i', shellWord(key)]),
  ]
  return ['ssh', ...options, '-p', String(port), `${name}@${host}`].join(' ')
}

/** The key that Hatchway made because its owner had none. */
async function usableOwnKey(config: Config): Promise<string | undefined> {
  if (config.authorizedKeys !== undefined) return undefined
  const file = ownKey(config.keysDirectory)
  return access(file, constants.R_OK).then(
    () => file,
    () => undefined,
  )
}

/**
 * A known_hosts file of the gateway's own: its port may have been another server's before, and may be that again, so its
 * keys must not come into the person's known_hosts. Undefined where it cannot be written.
 */
export async function writeKnownHosts(
  { hostKeys }: Pick<Gateway, 'hostKeys'>,
  config: Config,
): Promise<string | undefined> {
  const file = join(config.keysDirectory, 'known_hosts')
  return replaceFile(file, knownHostsText(hostKeys, '*'), 0o600).then(
    () => file,
    () => undefined,
  )
}

function shellWord(text: string): string {
  return /^[\w./=%-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
