/** Docker's contexts (`docker context use`), read as the CLI stores them: ~/.docker/config.json and contexts/. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { HatchwayError } from '../../base/errors.ts'
import { type DockerAddress, parseEngineAddress, tlsFiles } from './address.ts'

export interface DockerContext {
  readonly name: string
  readonly host: string
  /** undefined: a scheme that only the CLI serves (ssh://). */
  readonly address: DockerAddress | undefined
}

const settings = z.object({ currentContext: z.string().optional() })
const metadata = z.object({
  Endpoints: z.object({ docker: z.object({ Host: z.string(), SkipTLSVerify: z.boolean().default(false) }) }),
})

/**
 * The context in force; undefined when it is the default one (DOCKER_HOST or the standard socket).
 * @throws HatchwayError CONFIG_INVALID: one is named and is not there; the CLI refuses that as well
 */
export async function currentContext(env: NodeJS.ProcessEnv): Promise<DockerContext | undefined> {
  // DOCKER_HOST overrides every context, as in the CLI.
  if (env.DOCKER_HOST) return undefined
  const root = env.DOCKER_CONFIG ?? join(homedir(), '.docker')
  const name = env.DOCKER_CONTEXT ?? (await readJson(join(root, 'config.json'), settings))?.currentContext
  if (!name || name === 'default') return undefined
  const id = createHash('sha256').update(name).digest('hex')
  const file = join(root, 'contexts', 'meta', id, 'meta.json')
  const found = await readJson(file, metadata)
  if (found === undefined) {
    throw new HatchwayError('CONFIG_INVALID', `docker context ${JSON.stringify(name)} cannot be read (${file})`)
  }
  const { Host: host, SkipTLSVerify } = found.Endpoints.docker
  const address = parseEngineAddress(host, `docker context ${name}`, {})
  if (address?.kind !== 'tcp') return { name, host, address }
  const files = tlsFiles(join(root, 'contexts', 'tls', id, 'docker'), !SkipTLSVerify)
  const secure = host.startsWith('https:') || files.ca !== undefined || files.cert !== undefined
  return { name, host, address: secure ? { ...address, tls: files } : address }
}

async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  try {
    return schema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    // As for a user who has never run the CLI.
    return undefined
  }
}
