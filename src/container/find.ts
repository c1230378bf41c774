/** Which container a name means. Pure: the caller asks the engine and the policy. */

import { editDistance } from '../base/edit-distance.ts'
import { HatchwayError } from '../base/errors.ts'
import { printable } from '../base/printable.ts'
import type { ContainerSummary } from '../engine/engine.ts'
import { fullName } from '../engine/ref.ts'
import { type Aliases, type NameKind, nameKinds } from './names.ts'

export interface Naming {
  readonly aliases?: Aliases
  /** The name was a host's. */
  readonly host?: boolean
}

/**
 * The first kind of name that matches decides, and must match one container only: nothing ambiguous is guessed.
 *
 * `containers` are those the identity may enter; the messages name no others.
 * @throws HatchwayError CONTAINER_NOT_FOUND, CONTAINER_AMBIGUOUS
 */
export function findContainer(ref: string, containers: readonly ContainerSummary[], naming?: Naming): ContainerSummary {
  return createFinder(containers, naming)(ref)
}

/** As findContainer(), for many names: each container's names are looked at once, not once for each name that is asked. */
export function createFinder(
  containers: readonly ContainerSummary[],
  { aliases = {}, host = false }: Naming = {},
): (ref: string) => ContainerSummary {
  const kinds = nameKinds(aliases).map((kind) => ({ kind, found: createIndex(kind, containers, host) }))
  return (ref) => {
    for (const { kind, found: all } of kinds) {
      const only = theOne(ref, kind, all(ref))
      if (only) return only
    }
    throw notFound(ref, containers)
  }
}

/** "web.2" before "web.10". */
function byName(one: ContainerSummary, other: ContainerSummary): number {
  return one.name.localeCompare(other.name, 'en', { numeric: true })
}

/** Of containers that a name of this kind may mean. @throws HatchwayError CONTAINER_AMBIGUOUS */
export function theOne(
  ref: string,
  { preferRunning, shared = false }: Pick<NameKind, 'preferRunning' | 'shared'>,
  found: readonly ContainerSummary[],
): ContainerSummary | undefined {
  // Two engines' containers of one name are never the same one made again, nor tasks of one service.
  const isOneEngine = new Set(found.map(({ engine }) => engine)).size === 1
  const running = preferRunning && isOneEngine ? found.filter(({ state }) => state === 'running') : []
  const meant = running.length > 0 ? running : found
  if (shared && isOneEngine) return meant.toSorted(byName)[0]
  if (meant.length > 1) {
    const names = meant.map(fullName).sort()
    throw new HatchwayError('CONTAINER_AMBIGUOUS', `"${brief(ref)}" means ${meant.length} containers: ${list(names)}`)
  }
  return meant[0]
}

/** Returns the containers that have such a name; the index is made when the first one is asked for. */
function createIndex({ names, prefix }: NameKind, containers: readonly ContainerSummary[], host: boolean) {
  const keyOf = (name: string) => name.slice(0, prefix)
  // Clients make a host's capitals small, so a small letter may stand for a capital.
  const spellings = (name: string) => (host ? [name, name.toLowerCase()] : [name])
  let index: Map<string, ContainerSummary[]> | undefined
  return (ref: string): readonly ContainerSummary[] => {
    if (!index) {
      index = new Map()
      for (const container of containers) {
        for (const key of new Set(names(container).flatMap(spellings).map(keyOf))) {
          const others = index.get(key)
          if (others) others.push(container)
          else index.set(key, [container])
        }
      }
    }
    const found = index.get(keyOf(ref)) ?? []
    if (prefix === undefined) return found
    return ref.length < prefix ? [] : found.filter((container) => names(container).some((name) => name.startsWith(ref)))
  }
}

/** The sentence for a container that is not there, or that this identity may not see: the same for both. */
export function notFound(ref: string, visible: readonly ContainerSummary[]): HatchwayError {
  const near = nearestNames(
    ref,
    visible.map((container) => container.name),
  )
  const hint = near.length > 0 ? `; did you mean ${list(near)}?` : ''
  return new HatchwayError('CONTAINER_NOT_FOUND', `no container "${brief(ref)}"${hint}`)
}

/** At most three names that are a typing slip away, nearest first. */
export function nearestNames(ref: string, names: readonly string[]): string[] {
  const wanted = ref.slice(0, 64).toLowerCase()
  const limit = Math.max(2, Math.floor(wanted.length / 3))
  return names
    .map((name) => ({ name, distance: editDistance(wanted, name.slice(0, 64).toLowerCase()) }))
    .filter(({ name, distance }) => distance <= limit || name.toLowerCase().includes(wanted))
    .sort((a, b) => a.distance - b.distance || a.name.localeCompare(b.name))
    .slice(0, 3)
    .map(({ name }) => name)
}

function list(names: readonly string[]): string {
  return names.length > 8 ? `${names.slice(0, 8).join(', ')}, ...` : names.join(', ')
}

/** Client text that goes back to a terminal: no control characters, no flood. */
export function brief(text: string): string {
  const clean = printable(text.slice(0, 81))
  return text.length > 80 ? `${clean.slice(0, 80)}...` : clean
}
