/** What a container is called, in the order of trust: every kind of name that may stand in a login. Pure. */
import path from 'node:path'
import type { Alias } from '../config/values.ts'
import type { ContainerSummary } from '../engine/engine.ts'

export type Aliases = Readonly<Record<string, Alias>>

export interface NameKind {
  readonly matches: (ref: string, container: ContainerSummary) => boolean
  /**
   * A container may be left over, stopped, from before it was made again: the one that runs is meant. Not so for names
   * and ids, of which there is one each.
   */
  readonly preferRunning: boolean
}

const ID_PREFIX = /^[0-9a-f]{4,64}$/
/** For makers of a container that cannot choose its name. */
const NAME_LABEL = 'hatchway.name'

/** Is what was asked for (first) this name? */
export type Same = (ref: string, name: string) => boolean

export const exactly: Same = (ref, name) => ref === name
/** Clients make a host's capitals small, so a small letter may stand for a capital. */
export const asHost: Same = (ref, name) => ref === name || ref === name.toLowerCase()

/** The operator's word first: no container takes an alias away by being called so. */
export function nameKinds(aliases: Aliases, same: Same): readonly NameKind[] {
  return [
    {
      matches: (ref, container) =>
        Object.entries(aliases).some(([name, alias]) => same(ref, name) && isMeant(alias, container)),
      preferRunning: true,
    },
    { matches: (ref, { name }) => same(ref, name), preferRunning: false },
    { matches: (ref, { id }) => ID_PREFIX.test(ref) && id.startsWith(ref), preferRunning: false },
    {
      matches: (ref, { labels }) => labels[NAME_LABEL] !== undefined && same(ref, labels[NAME_LABEL]),
      preferRunning: true,
    },
    { matches: (ref, container) => composeNames(container).some((name) => same(ref, name)), preferRunning: true },
    { matches: (ref, container) => folderNames(container).some((name) => same(ref, name)), preferRunning: true },
  ]
}

/** Every name of a container that is not its id or a folder's path: what a host could be called. */
export function namesOf(container: ContainerSummary, aliases: Aliases): readonly string[] {
  const label = container.labels[NAME_LABEL]
  const given = Object.entries(aliases).flatMap(([name, alias]) => (isMeant(alias, container) ? [name] : []))
  const [service] = composeNames(container)
  return [container.name, ...given, ...(label ? [label] : []), ...(service ? [service] : [])]
}

function isMeant(alias: Alias, container: ContainerSummary): boolean {
  if (alias.kind === 'name') return container.name === alias.name
  if (alias.kind === 'compose') return composeNames(container).includes(alias.service)
  const value = Object.hasOwn(container.labels, alias.key) ? container.labels[alias.key] : undefined
  return value !== undefined && (alias.value === undefined || alias.value === value)
}

/** Returns the name by which compose's own user would call it: "web.shop", of several "web.shop.2". */
export function composeName(container: ContainerSummary): string | undefined {
  const [service, numbered] = composeNames(container)
  return container.labels['com.docker.compose.container-number'] === '1' ? service : (numbered ?? service)
}

function composeNames({ labels }: ContainerSummary): readonly string[] {
  const project = labels['com.docker.compose.project']
  const service = labels['com.docker.compose.service']
  // `docker compose run` makes one more container of the service, for one command.
  if (!project || !service || labels['com.docker.compose.oneoff'] === 'True') return []
  const number = labels['com.docker.compose.container-number']
  return [`${service}.${project}`, ...(number ? [`${service}.${project}.${number}`] : [])]
}

function folderNames({ labels }: ContainerSummary): readonly string[] {
  const folder = labels['devcontainer.local_folder']
  // A Windows client writes the label with backslashes.
  return folder ? [folder, path.posix.basename(folder.replaceAll('\\', '/'))] : []
}
