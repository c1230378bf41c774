/** Chooses the hosts of a user's ssh_config: the names of the containers that the policy lets the user enter. */

import { HatchwayError } from '../../base/errors.ts'
import type { Config } from '../../config/schema.ts'
import { findContainer } from '../../container/find.ts'
import { namesOf } from '../../container/names.ts'
import { CliFailure } from '../../control/cli-failure.ts'
import type { ContainerSummary, Engine } from '../../engine/engine.ts'
import type { Logger } from '../../observe/log.ts'
import { createPolicy } from '../../policy/policy.ts'
import { isHostName } from './entries.ts'
import { ownIdentities } from './identities.ts'

export interface Hosts {
  readonly served: readonly string[]
  /** Names of containers that are known already as hosts. */
  readonly taken: readonly string[]
  /** One of `served` that runs now. */
  readonly example: string | undefined
}

/** Each check runs two processes. */
const AT_ONCE = 8

export async function createHosts(config: Config, engine: Engine, sshFolder: string, log: Logger) {
  const { rules, aliases, environment, hostSuffixes } = config
  const policy = createPolicy({ rules, acceptEnv: environment.accept, engine })
  const identities = await ownIdentities(config, sshFolder, log)
  if (identities.length === 0) {
    throw new CliFailure(`this gateway lets in none of the public keys in ${sshFolder}: see authorizedKeys`)
  }
  const origin = { connectionId: 'config-ssh', login: '@', remote: { address: '127.0.0.1', port: 0 } }

  async function mayEnter(container: ContainerSummary): Promise<boolean> {
    for (const identity of identities) {
      if ((await policy({ identity, origin, container, action: { kind: 'enter' } })).allowed) return true
    }
    return false
  }

  return async (isTaken: (name: string) => Promise<boolean>, signal: AbortSignal): Promise<Hosts> => {
    const visible: ContainerSummary[] = []
    for (const container of await engine.list(signal)) if (await mayEnter(container)) visible.push(container)
    const names = new Set(visible.flatMap((container) => namesOf(container, aliases)).filter(isHostName))
    const meant = [...names].filter((name) => meansOne(name, visible, aliases)).sort()
    // A name with a dot looks like an internet host: only with our suffix.
    const bare = meant.filter((name) => !name.includes('.'))
    const taken: string[] = []
    for (let next = 0; next < bare.length; next += AT_ONCE) {
      const some = bare.slice(next, next + AT_ONCE)
      const answers = await Promise.all(some.map(isTaken))
      taken.push(...some.filter((_, index) => answers[index]))
    }
    const [suffix] = hostSuffixes
    const own = (name: string) => bare.includes(name) && !taken.includes(name)
    const hostsOf = (name: string) => (own(name) ? [name] : suffix === undefined ? [] : [`${name}${suffix}`])
    const running = visible
      .filter(({ state }) => state === 'running')
      .flatMap((container) => namesOf(container, aliases))
    const [example] = meant.filter((name) => running.includes(name)).flatMap(hostsOf)
    return { served: meant.flatMap(hostsOf), taken, example }
  }
}

/** Returns false for a name that the gateway would refuse as ambiguous. */
function meansOne(name: string, visible: readonly ContainerSummary[], aliases: Config['aliases']): boolean {
  try {
    findContainer(name, visible, { aliases, host: true })
    return true
  } catch (error) {
    if (error instanceof HatchwayError) return false
    throw error
  }
}
