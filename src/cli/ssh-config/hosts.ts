/** Chooses the hosts of a user's ssh_config among the names of the containers that they may enter. */
import type { ContainerHost } from '../../container/host-names.ts'

/** What the person's own ssh knows already. */
export interface Taken {
  readonly host: (name: string) => Promise<boolean>
  /** Their ssh has settings for all names with this suffix, or knows a host that ends so. */
  readonly suffix: (suffix: string) => Promise<boolean>
}

export interface Hosts {
  readonly served: readonly string[]
  /** ".ctr": NAME.ctr is free for every container. */
  readonly suffixes: readonly string[]
  /** Names of containers, and patterns, that are known already as hosts. */
  readonly taken: readonly string[]
  /** One of `served` that runs now. */
  readonly example: string | undefined
}

/** Each check runs two processes. */
const AT_ONCE = 8

export async function chosenHosts(
  found: readonly ContainerHost[],
  suffixes: readonly string[],
  taken: Taken,
): Promise<Hosts> {
  const refused = await knownAmong(suffixes, taken.suffix)
  const free = suffixes.filter((suffix) => !refused.has(suffix))
  const [suffix] = free
  // A name with a dot looks like an internet host: only with our suffix.
  const bare = found.map(({ name }) => name).filter((name) => !name.includes('.'))
  const known = await knownAmong(bare, taken.host)
  const own = (name: string) => bare.includes(name) && !known.has(name)
  const longer = found.map(({ name }) => name).filter((name) => suffix !== undefined && !own(name))
  const longerKnown = await knownAmong(
    longer.map((name) => `${name}${suffix}`),
    taken.host,
  )
  const hostsOf = (name: string) => {
    if (own(name)) return [name]
    return suffix === undefined || longerKnown.has(`${name}${suffix}`) ? [] : [`${name}${suffix}`]
  }
  const [example] = found.filter(({ running }) => running).flatMap(({ name }) => hostsOf(name))
  return {
    served: found.flatMap(({ name }) => hostsOf(name)),
    suffixes: free,
    taken: [...known, ...longerKnown, ...[...refused].map((suffix) => `NAME${suffix}`)],
    example,
  }
}

async function knownAmong(names: readonly string[], isKnown: (name: string) => Promise<boolean>): Promise<Set<string>> {
  const known = new Set<string>()
  for (let next = 0; next < names.length; next += AT_ONCE) {
    const some = names.slice(next, next + AT_ONCE)
    const answers = await Promise.all(some.map(isKnown))
    for (const [index, name] of some.entries()) if (answers[index]) known.add(name)
  }
  return known
}
