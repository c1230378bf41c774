/** Returns the ssh command that works here and now, with a usable key and a running container. */
import { access, constants } from 'node:fs/promises'
import { relative } from 'node:path'
import type { Gateway } from '../app.ts'
import { ownKey } from '../auth/key-files.ts'
import type { Config } from '../config/schema.ts'
import { deadline } from '../lifetime/deadline.ts'
import { isHostName } from './ssh-config/entries.ts'

const ENGINE_MS = 5_000
const UNSPECIFIED = new Set(['0.0.0.0', '::'])

export async function commandToType(gateway: Pick<Gateway, 'endpoints' | 'engine'>, config: Config): Promise<string> {
  const [endpoint] = gateway.endpoints
  const port = endpoint?.port ?? 22
  const address = endpoint?.address ?? '127.0.0.1'
  const host = UNSPECIFIED.has(address) ? '127.0.0.1' : address
  const containers = await gateway.engine.list(deadline(ENGINE_MS)).catch(() => [])
  const running = containers.filter(({ state, name }) => state === 'running' && isHostName(name))
  const name = running.map((container) => container.name).sort()[0] ?? 'CONTAINER'
  const key = await usableOwnKey(config)
  return ['ssh', ...(key === undefined ? [] : ['-i', quoted(key)]), '-p', String(port), `${name}@${host}`].join(' ')
}

/** The key that Hatchway made because its owner had none. */
async function usableOwnKey(config: Config): Promise<string | undefined> {
  if (config.authorizedKeys !== undefined) return undefined
  const file = ownKey(config.keysDirectory)
  const there = await access(file, constants.R_OK).then(
    () => true,
    () => false,
  )
  if (!there) return undefined
  const near = relative(process.cwd(), file)
  return near.startsWith('..') ? file : near
}

function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
}
