/** Chooses the hosts of a user's ssh_config among the names of the containers that they may enter. */
import type { ContainerHost } from '../../container/host-names.ts'

export type IsTaken = (name: string) => Promise<boolean>

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
/** As long as a name that somebody has: another gateway's pattern takes them all. */
const UNHEARD_OF = 'hatchway-unheard-of'

export async function chosenHosts(
  found: readonly ContainerHost[],
  suffixes: readonly string[],
  isTaken: IsTaken,
): Promise<Hosts> {
  // A name with a dot looks like an internet host: only with our suffix.
  const bare = found.map(({ name }) => name).filter((name) => !name.includes('.'))
  const asked = [...bare, ...suffixes.map((suffix) => `${UNHEARD_OF}${suffix}`)]
  const known = new Set<string>()
  for (let next = 0; next < asked.length; next += AT_ONCE) {
    const some = asked.slice(next, next + AT_ONCE)
    const answers = await Promise.all(some.map(isTaken))
    for (const [index, name] of some.entries()) if (answers[index]) known.add(name)
  }
  const free = suffixes.filter((suffix) => !known.has(`${UNHEARD_OF}${suffix}`))
  const [suffix] = free
  const own = (name: string) => bare.includes(name) && !known.has(name)
  const hostsOf = (name: string) => (own(name) ? [name] : suffix === undefined ? [] : [`${name}${suffix}`])
  const [example] = found.filter(({ running }) => running).flatMap(({ name }) => hostsOf(name))
  return {
    served: found.flatMap(({ name }) => hostsOf(name)),
    suffixes: free,
    taken: [
      ...bare.filter((name) => known.has(name)),
      ...suffixes.filter((suffix) => !free.includes(suffix)).map((suffix) => `NAME${suffix}`),
    ],
    example,
  }
}
