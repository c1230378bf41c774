/**
 * One of several engines, and what is known of its containers: listed at first, when it is back, and some moments after its
 * events; now and then anyway, since events can be lost. One that does not answer in time is away until it does.
 */
import { asHatchwayError, type HatchwayError, undefinedIf } from '../../base/errors.ts'
import { withDeadline } from '../../lifetime/deadline.ts'
import { changesNothing } from '../changes-nothing.ts'
import type { ContainerSummary, EngineEvent } from '../engine.ts'
import { engineLimit } from '../messages.ts'
import type { NamedEngine } from './named.ts'

export interface PartLimits {
  /** Of one list. */
  readonly listMs: number
  /** From an event to the list that looks: a container's start is a handful of events. */
  readonly gatherMs: number
  /** Between two lists of one that is away, at first and at most. */
  readonly retryMs: readonly [number, number]
  readonly relistMs: number
}

/** Of more containers than that at once all are asked for. */
const MOST_IDS = 50

export const PART_LIMITS: PartLimits = { listMs: 5_000, gatherMs: 100, retryMs: [1_000, 30_000], relistMs: 300_000 }

/** What somebody should know of a part, for the log. */
export type PartNotice =
  | { readonly type: 'silent'; readonly engine: string; readonly error: HatchwayError }
  | { readonly type: 'answers'; readonly engine: string }
  | { readonly type: 'same-daemon'; readonly engine: string; readonly as: string }
  | { readonly type: 'other-daemon'; readonly engine: string }
  | { readonly type: 'unproved'; readonly engine: string; readonly as: string; readonly error: HatchwayError }

export interface Part {
  readonly engine: NamedEngine
  readonly daemonId: string | undefined
  /** How often it has answered for the first time, or after it was away: each time it may be another daemon. */
  readonly runs: number
  /** How often it has told of all it has. */
  readonly lists: number
  /** Why it cannot be asked now. */
  readonly away: HatchwayError | undefined
  /** Settles with its first answer, or when it had its time for that. Never rejects. */
  readonly asked: Promise<void>
  /** What it has is being asked anew, or is about to be. */
  readonly pending: boolean
  /** Asks now for what events have told of; resolves when it has answered or had its time. */
  refresh(): Promise<void>
  /** Asks now for all. */
  refreshAll(): Promise<void>
  /** Follows its events, and lists accordingly. */
  follow(signal: AbortSignal): AsyncGenerator<EngineEvent>
}

export interface PartOwner {
  readonly limits: PartLimits
  readonly closed: AbortSignal
  /** `only`: what the part has of these ids; of all others it says nothing. */
  listed(part: Part, containers: readonly ContainerSummary[], only?: readonly string[]): void
  notice(notice: PartNotice): void
  /** Resolves when it may ask for a list, with what ends its turn. */
  turn(isAway: boolean): Promise<() => void>
}

export function createPart(engine: NamedEngine, { limits, closed, listed, notice, turn }: PartOwner): Part {
  /** Of events; undefined: anything may have changed. */
  let changed: Set<string> | undefined
  let listedAt = Number.NEGATIVE_INFINITY
  let daemonId: string | undefined
  let knowsId = false
  let runs = 0
  let lists = 0
  let away: HatchwayError | undefined
  let listing: Promise<void> | undefined
  let again = false
  let timer: NodeJS.Timeout | undefined
  let isDue = false
  let following = 0
  let retryMs = limits.retryMs[0]
  let first: Promise<void> | undefined

  /** Of all, but for the ids of events. */
  function refreshAll(): Promise<void> {
    changed = undefined
    return refresh()
  }

  function refresh(): Promise<void> {
    clearTimeout(timer)
    isDue = false
    if (listing) {
      // What has happened since it was asked may not be in its answer.
      again = true
      return listing
    }
    listing = rounds().finally(() => {
      listing = undefined
    })
    return listing
  }

  async function rounds(): Promise<void> {
    do {
      again = false
      await ask()
    } while (again && away === undefined && !closed.aborted)
    if (following > 0 && !isDue) later()
  }

  async function ask(): Promise<void> {
    const isOld = performance.now() - listedAt > limits.relistMs
    const only = away === undefined && !isOld && changed && changed.size <= MOST_IDS ? [...changed] : undefined
    changed = new Set()
    try {
      if (only && (only.length === 0 || (await askOnly(only)))) return
      const leave = await turn(away !== undefined)
      try {
        await askAll()
      } finally {
        leave()
      }
    } catch (error) {
      if (closed.aborted) return
      isAway(asHatchwayError(error))
    }
  }

  /** False: it does not tell of some alone. */
  async function askOnly(ids: readonly string[]): Promise<boolean> {
    const limit = engineLimit('listing containers', limits.listMs)
    const found = await withDeadline(limit, [closed], (signal) => engine.summaries(ids, signal)).catch(
      undefinedIf('ENGINE_ERROR'),
    )
    if (found) listed(part, found, ids)
    return found !== undefined
  }

  async function askAll(): Promise<void> {
    const found = await withDeadline(engineLimit('listing containers', limits.listMs), [closed], async (limit) => {
      // Where it may not be asked, nothing tells.
      const id = knowsId ? daemonId : engine.daemonId?.(limit).catch(undefinedIf('ENGINE_ERROR'))
      const [list] = await Promise.all([engine.list(limit), id])
      daemonId = await id
      if (!knowsId) runs++
      knowsId = true
      return list
    })
    lists++
    listed(part, found)
    listedAt = performance.now()
    retryMs = limits.retryMs[0]
    if (away?.code === 'ENGINE_TIMEOUT') notice({ type: 'answers', engine: engine.name })
    away = undefined
  }

  function isAway(error: HatchwayError): void {
    if (away === undefined && error.code === 'ENGINE_TIMEOUT') notice({ type: 'silent', engine: engine.name, error })
    away = error
    changed = undefined
    // It may come back as another.
    knowsId = false
  }

  function later(): void {
    clearTimeout(timer)
    isDue = false
    const wait = away === undefined ? limits.relistMs : retryMs
    if (away !== undefined) retryMs = Math.min(retryMs * 2, limits.retryMs[1])
    timer = setTimeout(() => void refreshAll(), wait).unref()
  }

  function afresh(): void {
    changed = undefined
    soon()
  }

  function soon(): void {
    if (isDue) return
    clearTimeout(timer)
    isDue = true
    timer = setTimeout(() => void refresh(), limits.gatherMs).unref()
  }

  const part: Part = {
    engine,
    get daemonId() {
      return daemonId
    },
    get runs() {
      return runs
    },
    get lists() {
      return lists
    },
    get away() {
      return away
    },
    get asked() {
      first ??= refreshAll()
      return first
    },
    get pending() {
      return isDue || listing !== undefined
    },
    refresh,
    refreshAll,
    async *follow(signal) {
      following++
      try {
        first ??= refreshAll()
        // The stream may open after this list was answered: once more, when it surely is.
        void first.then(() => following > 0 && away === undefined && afresh())
        for await (const event of engine.events(signal)) {
          if (event.type === 'lost') isAway(event.error)
          else if (event.type === 'reconnected') void refreshAll()
          else if (!changesNothing(event.action)) {
            changed?.add(event.id)
            soon()
          }
          yield event
        }
      } finally {
        following--
        if (following === 0) clearTimeout(timer)
      }
    },
  }
  return part
}
