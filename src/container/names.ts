/** What a container is called, in the order of trust: every kind of name that may stand in a login. Pure. */
import path from 'node:path'
import type { Alias } from '../config/values.ts'
import type { ContainerSummary } from '../engine/engine.ts'
import { fullName } from '../engine/ref.ts'

export type Aliases = Readonly<Record<string, Alias>>

export interface NameKind {
  /** The container's names of this kind. */
  readonly names: (container: ContainerSummary) => readonly string[]
  /** The beginning of a name means it, too, from so many characters on. */
  readonly prefix?: number
  /**
   * A container may be left over, stopped, from before it was made again on the same engine: the one that runs is meant.
   * Not so for names and ids, of which there is one each.
   */
  readonly preferRunning: boolean
  /** Several have such a name together, and any of them will do: the first one, so that it is the same each time. */
  readonly shared?: boolean
}

/** Digits that an id's prefix has at least. */
const MIN_ID_PREFIX = 4
const DIGEST = /^[0-9a-f]+$/
/** For makers of a container that cannot choose its name. */
const NAME_LABEL = 'hatchway.name'

/** The operator's word first: no container takes an alias away by being called so. */
export function nameKinds(aliases: Aliases): readonly NameKind[] {
  return [
    { names: (container) => aliasesOf(container, aliases), preferRunning: true },
    // One kind: nobody takes the name "web.build1" away from the container web of build1 by calling another one so.
    { names: (container) => [container.name, fullName(container)], preferRunning: false },
    {
      names: (container) => (DIGEST.test(ownId(container)) ? [ownId(container)] : []),
      prefix: MIN_ID_PREFIX,
      preferRunning: false,
    },
    // Only as a whole: the beginning of another kind of id may be what many have, as a namespace is.
    { names: (container) => [ownId(container)], preferRunning: false },
    { names: ({ task }) => (task === undefined ? [] : [task]), prefix: MIN_ID_PREFIX, preferRunning: true },
    { names: serviceNames, preferRunning: true, shared: true },
    { names: labelNames, preferRunning: true },
    { names: ({ names = [] }) => names, preferRunning: true },
    { names: composeNames, preferRunning: true },
    { names: folderNames, preferRunning: true },
  ]
}

/** "web", "web.prod": of a swarm's service. */
function serviceNames({ service, engine }: ContainerSummary): readonly string[] {
  if (service === undefined) return []
  return [service, ...(engine === undefined ? [] : [`${service}.${engine}`])]
}

/** As its engine has it. */
function ownId({ id, engine }: ContainerSummary): string {
  return engine === undefined ? id : id.slice(engine.length + 1)
}

/** Every name of a container that is not its id or a folder's path: what a host could be called. */
export function namesOf(container: ContainerSummary, aliases: Aliases): readonly string[] {
  const [service] = composeNames(container)
  const given = [...aliasesOf(container, aliases), ...labelNames(container)].filter((name) => name !== '')
  return [
    container.name,
    ...(container.engine === undefined ? [] : [fullName(container)]),
    ...given,
    ...(container.names ?? []),
    ...(service ? [service] : []),
  ]
}

function aliasesOf(container: ContainerSummary, aliases: Aliases): readonly string[] {
  return Object.entries(aliases).flatMap(([name, alias]) => (isMeant(alias, container) ? [name] : []))
}

function labelNames({ labels }: ContainerSummary): readonly string[] {
  const label = labels[NAME_LABEL]
  return label === undefined ? [] : [label]
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
