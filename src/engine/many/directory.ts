/** The containers of all parts, as each told of its own last. */
import type { ContainerSummary, DirectoryListener } from '../engine.ts'

export interface Shelves {
  readonly containers: ReadonlyMap<string, ContainerSummary>
  /** What this part has now; `before` is what it had. Returns the new ones by id. */
  replace(
    before: ReadonlyMap<string, ContainerSummary> | undefined,
    now: Iterable<ContainerSummary>,
  ): ReadonlyMap<string, ContainerSummary>
  onChange(listener: DirectoryListener): () => void
}

export function createShelves(): Shelves {
  const containers = new Map<string, ContainerSummary>()
  const listeners = new Set<DirectoryListener>()
  return {
    containers,
    replace(before = new Map(), now) {
      const after = new Map<string, ContainerSummary>()
      for (const container of now) after.set(container.id, container)
      const come: ContainerSummary[] = []
      const gone: ContainerSummary[] = []
      for (const [id, old] of before) {
        const next = after.get(id)
        if (next === old || (next && isCalledTheSame(old, next))) continue
        gone.push(old)
        if (!next) containers.delete(id)
      }
      for (const [id, container] of after) {
        const old = before.get(id)
        if (old === container) continue
        if (!old || !isCalledTheSame(old, container)) come.push(container)
        containers.set(id, container)
      }
      if (gone.length + come.length > 0) for (const listener of listeners) listener(gone, come)
      return after
    },
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}

function isCalledTheSame(one: ContainerSummary, other: ContainerSummary): boolean {
  if (one.name !== other.name || one.names?.join() !== other.names?.join()) return false
  const keys = Object.keys(one.labels)
  return keys.length === Object.keys(other.labels).length && keys.every((key) => one.labels[key] === other.labels[key])
}
