/**
 * An engine of engines. A container's id begins with its engine's name ("build1/4f0c..."), and all that concerns one
 * container goes to the engine that has it. The containers of all are in one directory, kept by events: a list costs no
 * call, and an engine that is slow or gone holds up nobody who does not ask for its own.
 */
import { asHatchwayError, HatchwayError } from '../../base/errors.ts'
import { anyOf, withDeadline } from '../../lifetime/deadline.ts'
import { unlessAborted } from '../../lifetime/on-abort.ts'
import { createKeyedSemaphore } from '../../lifetime/semaphore.ts'
import type { Container, ContainerSummary, Engine, EngineEvent, EngineParts, Unanswered } from '../engine.ts'
import { createShelves } from './directory.ts'
import { createEventQueue } from './event-queue.ts'
import { engineNameOf, type NamedEngine, nameEngine } from './named.ts'
import { createPart, PART_LIMITS, type Part, type PartLimits, type PartNotice } from './part.ts'
import { createTwins } from './twins.ts'

/** What events announced is waited for so long by whoever asks for a name that nobody has. */
const SETTLED_MS = 500
/** For the first answers of all, in times of one's limit: they are asked by turns. */
const ASKED_LISTS = 2
/** Lists that are waited for at once: a list of thousands keeps this process busy, and others' time should not pass meanwhile. */
const LISTS_AT_ONCE = 24
const RETRIES_AT_ONCE = 8

export function createManyEngine(
  engines: Readonly<Record<string, Engine>>,
  notice: (notice: PartNotice) => void = () => {},
  limits: PartLimits = PART_LIMITS,
): Engine & { readonly parts: EngineParts } {
  const closed = new AbortController()
  const shelves = createShelves()
  const parts = new Map<string, Part>()
  /** What each told of its containers last, and what of that is in the directory. */
  const told = new Map<Part, Map<string, ContainerSummary>>()
  const shown = new Map<Part, ReadonlyMap<string, ContainerSummary>>()
  /** Those that are the same daemon as one before them in the configuration: that one's name. */
  const same = new Map<Part, string>()
  let followers = 0

  const turns = createKeyedSemaphore({ atOnce: LISTS_AT_ONCE })
  const retries = createKeyedSemaphore({ atOnce: RETRIES_AT_ONCE })
  // Those that hang wait for each other, and nobody else for them.
  const turn = (isAway: boolean) => (isAway ? retries : turns).enter('list', closed.signal)

  for (const [name, engine] of Object.entries(engines)) {
    const part = createPart(nameEngine(name, engine), { limits, closed: closed.signal, listed, notice, turn })
    parts.set(name, part)
  }
  const all = [...parts.values()]
  const enginesByName = all.map(({ engine }) => engine)

  function listed(part: Part, found: readonly ContainerSummary[], only?: readonly string[]): void {
    const now = (only && told.get(part)) ?? new Map<string, ContainerSummary>()
    for (const id of only ?? []) now.delete(id)
    for (const container of found) now.set(container.id, container)
    told.set(part, now)
    // Whether another is the same daemon may be known by now.
    for (const other of all) if (other === part || claimOneId(other, part)) show(other)
  }

  const twins = createTwins(
    closed.signal,
    (_, other) => show(other),
    ({ engine }, other, error) =>
      notice({ type: 'unproved', engine: other.engine.name, as: engine.name, error: asHatchwayError(error) }),
  )

  function show(part: Part): void {
    const { name } = part.engine
    const as = all.slice(0, all.indexOf(part)).find((other) => isTwin(other, part))?.engine.name
    if (as !== same.get(part)) {
      if (as === undefined) same.delete(part)
      else same.set(part, as)
      notice(as === undefined ? { type: 'other-daemon', engine: name } : { type: 'same-daemon', engine: name, as })
    }
    shown.set(part, shelves.replace(shown.get(part), as === undefined ? (told.get(part)?.values() ?? []) : []))
  }

  function isTwin(one: Part, other: Part): boolean {
    return !same.has(one) && twins.areOne(one, other, () => haveOneSame(one, other))
  }

  /** Copies of a machine have daemons of one id, but not the same containers: nothing has to be proved for each two of them. */
  function haveOneSame(one: Part, other: Part): boolean {
    const own = (part: Part) => [...(told.get(part)?.keys() ?? [])].map((id) => id.slice(part.engine.name.length))
    const [ids, others] = [new Set(own(one)), own(other)]
    return ids.size === 0 ? others.length === 0 && told.has(one) : others.some((id) => ids.has(id))
  }

  function partOf(containerId: string): Part {
    const found = parts.get(engineNameOf(containerId) ?? '')
    if (found) return found
    throw new HatchwayError('CONTAINER_NOT_FOUND', `no container ${JSON.stringify(containerId)}`)
  }

  const engineFor = (containerId: string): NamedEngine => partOf(containerId).engine

  async function asked(signal: AbortSignal): Promise<void> {
    const first = Promise.all(all.map((part) => part.asked)).then(() => twins.settled())
    await withDeadline(ASKED_LISTS * limits.listMs, [signal], (limit) => unlessAborted(first, limit)).catch(() => {})
    signal.throwIfAborted()
  }

  /** Nobody tells of changes while nobody follows the events. */
  async function current(signal: AbortSignal): Promise<void> {
    if (followers === 0) await unlessAborted(Promise.all(all.map((part) => part.refreshAll())), signal)
    await asked(signal)
    await settled(signal)
  }

  async function settled(signal: AbortSignal, engine?: string): Promise<void> {
    const wanted = all.filter((part) => part.engine.name === engine || (part.pending && part.away === undefined))
    if (wanted.length === 0) return
    const fresh = Promise.all(wanted.map((part) => (part.engine.name === engine ? part.refreshAll() : part.refresh())))
    await withDeadline(SETTLED_MS, [signal], (limit) => unlessAborted(fresh, limit)).catch(() => {})
    signal.throwIfAborted()
  }

  /** By id; by name where one engine alone has it. */
  async function inspect(ref: string, signal: AbortSignal): Promise<Container> {
    if (engineNameOf(ref) !== undefined) return engineFor(ref).inspect(ref, signal)
    await asked(signal)
    const found = [...shelves.containers.values()].filter(({ name }) => name === ref)
    const [only] = found
    if (found.length > 1) {
      const names = found.map(({ name, engine }) => `${name}.${engine}`).join(', ')
      throw new HatchwayError('CONTAINER_AMBIGUOUS', `"${ref}" means ${found.length} containers: ${names}`)
    }
    if (!only) throw new HatchwayError('CONTAINER_NOT_FOUND', `no container ${JSON.stringify(ref)}`)
    return engineFor(only.id).inspect(only.id, signal)
  }

  async function* events(signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const stopped = new AbortController()
    const limit = anyOf(signal, stopped.signal, closed.signal)
    const queue = createEventQueue<EngineEvent>(limit)
    const ends = all.map(async (part) => {
      for await (const event of part.follow(limit)) queue.push(event)
    })
    followers++
    try {
      yield* queue.events()
    } finally {
      followers--
      stopped.abort()
      await Promise.allSettled(ends)
    }
  }

  return {
    kind: 'many',
    endpoint: [...parts.keys()].join(', '),
    info: async () => {
      throw new HatchwayError('NOT_SUPPORTED', 'each of several engines tells of itself')
    },
    async list(signal) {
      await current(signal)
      const here = [...shelves.containers.values()]
      const away = new Set(all.filter((part) => part.away !== undefined).map(({ engine }) => engine.name))
      return away.size === 0 ? here : here.filter(({ engine = '' }) => !away.has(engine))
    },
    inspect,
    exec: async (id, spec, sink, signal) => engineFor(id).exec(id, spec, sink, signal),
    events,
    async close() {
      closed.abort(new HatchwayError('ENGINE_LOST', 'the engine was closed'))
      await Promise.all(enginesByName.map((engine) => engine.close()))
    },
    parts: {
      of: engineFor,
      named: (name) => parts.get(name)?.engine,
      all: enginesByName,
      unanswered: () => unanswered(all),
      directory: {
        ...{ containers: shelves.containers, onChange: shelves.onChange, asked, settled },
        unseen: () => unanswered(all.filter((part) => !told.has(part))),
      },
    },
  }
}

function unanswered(parts: readonly Part[]): Unanswered[] {
  return parts.flatMap(({ engine, away }) => (away === undefined ? [] : [{ engine: engine.name, error: away }]))
}

function claimOneId(one: Part, other: Part): boolean {
  return one.daemonId !== undefined && one.daemonId === other.daemonId
}
