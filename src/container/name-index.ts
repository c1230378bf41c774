/**
 * Every name of every container of several engines, kept as they come and go: what a name means costs neither a call of an
 * engine nor a look at all containers.
 */
import type { HatchwayError } from '../base/errors.ts'
import type { ContainerSummary, Directory } from '../engine/engine.ts'
import { nearestNames, notFound, theOne } from './find.ts'
import { type Aliases, type NameKind, nameKinds } from './names.ts'

/** Of more no near name is looked for: it is a look at all. */
const MAX_HINTED = 20_000
const MAX_NEAR = 50

export interface NameIndex {
  /**
   * As findContainer() of those that may be entered, but only the containers with that name are asked about.
   * @param host the name was a host's
   * @throws HatchwayError CONTAINER_AMBIGUOUS
   */
  find(
    ref: string,
    mayEnter: (container: ContainerSummary) => Promise<boolean>,
    host: boolean,
  ): Promise<ContainerSummary | undefined>
  /** The sentence for a name that nothing has. */
  notFound(ref: string, mayEnter: (container: ContainerSummary) => Promise<boolean>): Promise<HatchwayError>
}

export function createNameIndex({ containers, onChange }: Directory, aliases: Aliases): NameIndex {
  const kinds = nameKinds(aliases).map(createKindIndex)
  for (const container of containers.values()) for (const kind of kinds) kind.add(container)
  onChange((gone, come) => {
    for (const kind of kinds) {
      for (const container of gone) kind.remove(container)
      for (const container of come) kind.add(container)
    }
  })
  const known = (id: string) => containers.get(id)

  return {
    async find(ref, mayEnter, host) {
      const itself = known(ref)
      if (itself) return (await mayEnter(itself)) ? itself : undefined
      for (const kind of kinds) {
        const found: ContainerSummary[] = []
        for (const id of kind.ids(ref, host)) {
          const container = known(id)
          if (container && (await mayEnter(container))) found.push(container)
        }
        const only = theOne(ref, kind.kind, found)
        if (only) return only
      }
      return undefined
    },

    async notFound(ref, mayEnter) {
      const visible: ContainerSummary[] = []
      const all = containers.size <= MAX_HINTED ? containers.values() : []
      for (const container of all) {
        if (visible.length === MAX_NEAR) break
        if (nearestNames(ref, [container.name]).length > 0 && (await mayEnter(container))) visible.push(container)
      }
      return notFound(ref, visible)
    },
  }
}

interface KindIndex {
  readonly kind: NameKind
  add(container: ContainerSummary): void
  remove(container: ContainerSummary): void
  /** Of the containers that the name may mean. */
  ids(ref: string, host: boolean): Iterable<string>
}

function createKindIndex(kind: NameKind): KindIndex {
  const { names, prefix } = kind
  const exact = new Map<string, Set<string>>()
  /** A client has made capitals small. */
  const small = new Map<string, Set<string>>()
  const keyOf = (name: string) => name.slice(0, prefix)
  /** Names of ids by whose beginning they are kept. */
  const whole = new Map<string, readonly string[]>()

  function* keys(container: ContainerSummary): Generator<readonly [Map<string, Set<string>>, string]> {
    for (const name of names(container)) {
      yield [exact, keyOf(name)]
      if (name !== name.toLowerCase()) yield [small, keyOf(name.toLowerCase())]
    }
  }

  return {
    kind,
    add(container) {
      for (const [index, key] of keys(container)) {
        const ids = index.get(key)
        if (ids) ids.add(container.id)
        else index.set(key, new Set([container.id]))
      }
      if (prefix !== undefined) whole.set(container.id, names(container))
    },
    remove(container) {
      for (const [index, key] of keys(container)) {
        const ids = index.get(key)
        ids?.delete(container.id)
        if (ids?.size === 0) index.delete(key)
      }
      whole.delete(container.id)
    },
    ids(ref, host) {
      if (prefix !== undefined && ref.length < prefix) return []
      const found = [...(exact.get(keyOf(ref)) ?? []), ...((host && small.get(keyOf(ref))) || [])]
      if (prefix === undefined) return new Set(found)
      return found.filter((id) => whole.get(id)?.some((name) => name.startsWith(ref)))
    },
  }
}
