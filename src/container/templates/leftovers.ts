/**
 * Fresh containers that nobody wants any more, and whose they are. Of gateways that share this one's folder their sockets
 * tell whether they live, at once. Of all others on the engine only their leases do, after some looks.
 */
import { undefinedIf } from '../../base/errors.ts'
import type { Instance } from '../../base/instance.ts'
import { type ContainerSummary, type Engine, enginesOf } from '../../engine/engine.ts'
import { LeaseWatch, leaseHolder } from './lease-watch.ts'
import { isFreshName, LABELS, LEASED } from './template.ts'

export interface Leftovers {
  /**
   * Removes them. Returns whether to look again soon, and why one could not be removed.
   * @throws HatchwayError ENGINE_*: it could not look
   */
  sweep(signal: () => AbortSignal): Promise<Swept>
}

export interface Swept {
  readonly soon: boolean
  readonly failures: readonly unknown[]
}

/**
 * @param wanted is a container of this name, made by this process, in use?
 * @param removed is told of each
 */
export function createLeftovers(
  engine: Engine,
  instance: Instance,
  wanted: (name: string) => boolean,
  removed: (container: ContainerSummary) => void,
): Leftovers {
  /** Of each part of an engine that is made of others. */
  const watches = new Map<Engine, LeaseWatch>()

  async function remove(part: Engine, container: ContainerSummary, signal: AbortSignal): Promise<void> {
    await part.lifecycle?.remove(container.id, signal)
    removed(container)
  }

  /** 'lease': only its maker's lease tells. */
  async function isOver(container: ContainerSummary): Promise<boolean | 'lease'> {
    const { state, labels } = container
    const maker = makerOf(container)
    if (maker === instance.id) return !wanted(madeNameOf(container))
    const folder = labels[LABELS.folder] ?? ''
    const isOfFolder = folder !== '' && folder === instance.folder
    if (isOfFolder) return !(await instance.lives(maker))
    if (labels[LABELS.lease] === LEASED) return 'lease'
    if (labels[LABELS.gateway] !== instance.gateway) return false
    // Of this machine before it was started anew, or of a copy of it: that one's container runs.
    if (folder !== '' && (state === 'running' || state === 'paused')) return false
    return !(await instance.lives(maker))
  }

  /**
   * @param gone makers that do not live, as their sockets tell
   * @returns those of makers whose leases have ended, and the leases of those that have nothing any more
   */
  async function endedLeases(
    { marks, lifecycle }: Engine,
    { watch, isFirst }: Watched,
    leased: readonly ContainerSummary[],
    gone: ReadonlySet<string>,
    signal: () => AbortSignal,
  ): Promise<Ended> {
    // What was left is no hurry, and `hatchway stdio` looks once.
    if (!marks || (isFirst && leased.length === 0 && gone.size === 0)) return NOTHING_ENDED
    const found = (await marks.list(signal())).filter((mark) => leaseHolder(mark) !== instance.id)
    const { ended, doubtful } = watch.look(leased.map(makerOf), found)
    const containers: ContainerSummary[] = []
    for (const container of leased.filter((one) => ended.has(makerOf(one)))) {
      // A lease that could not be renewed, and a session that goes on; or one of somebody who came by another gateway.
      const isUsed = await lifecycle?.anyInside(container.id, signal()).catch(undefinedIf('CONTAINER_NOT_FOUND'))
      if (!isUsed) containers.push(container)
    }
    const withContainers = new Set(leased.map(makerOf))
    const over = (mark: string) => {
      const holder = leaseHolder(mark) ?? ''
      return (ended.has(holder) || gone.has(holder)) && !withContainers.has(holder)
    }
    return { containers, marks: found.filter(over), doubtful }
  }

  async function sweepPart(part: Engine, watched: Watched, signal: () => AbortSignal): Promise<Swept> {
    const over: ContainerSummary[] = []
    const leased: ContainerSummary[] = []
    let ended: Ended
    try {
      for (const container of await part.list(signal())) {
        if (!isFresh(container)) continue
        const fate = await isOver(container)
        if (fate === 'lease') leased.push(container)
        else if (fate) over.push(container)
      }
      ended = await endedLeases(part, watched, leased, new Set(over.map(makerOf)), signal)
    } catch (error) {
      watched.watch.forget()
      throw error
    }
    const failures: unknown[] = []
    const tried = async (work: Promise<void> | undefined) => {
      await work?.catch((error: unknown) => failures.push(error))
    }
    for (const container of [...over, ...ended.containers]) await tried(remove(part, container, signal()))
    for (const mark of ended.marks) await tried(part.marks?.drop(mark, signal()))
    return { soon: ended.doubtful || ended.containers.length > 0 || failures.length > 0, failures }
  }

  return {
    async sweep(signal) {
      const parts = enginesOf(engine).filter(({ lifecycle }) => lifecycle)
      const swept = await Promise.allSettled(
        parts.map((part) => {
          const before = watches.get(part)
          const watch = before ?? new LeaseWatch()
          watches.set(part, watch)
          return sweepPart(part, { watch, isFirst: before === undefined }, signal)
        }),
      )
      const done = swept.filter((result) => result.status === 'fulfilled').map(({ value }) => value)
      const failed = swept.filter((result) => result.status === 'rejected').map(({ reason }) => reason)
      if (failed.length > 0 && done.length === 0) throw failed[0]
      const failures = [...failed, ...done.flatMap((part) => part.failures)]
      return { soon: failed.length > 0 || done.some(({ soon }) => soon), failures }
    },
  }
}

interface Watched {
  readonly watch: LeaseWatch
  /** It was not looked at before. */
  readonly isFirst: boolean
}

interface Ended {
  readonly containers: readonly ContainerSummary[]
  readonly marks: readonly string[]
  readonly doubtful: boolean
}

const NOTHING_ENDED: Ended = { containers: [], marks: [], doubtful: false }

/** Labels come from images, too, as `docker commit` makes one of a fresh container; a name does not. */
function isFresh(container: ContainerSummary): boolean {
  const { labels } = container
  return labels[LABELS.kind] === 'fresh' && isFreshName(madeNameOf(container), labels[LABELS.template] ?? '')
}

/** As it was planned. */
export function madeNameOf({ name, madeAs }: ContainerSummary): string {
  return madeAs ?? name
}

function makerOf({ labels }: ContainerSummary): string {
  return labels[LABELS.instance] ?? ''
}
