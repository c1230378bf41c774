/**
 * What is known of containers, so that a session on a live connection asks the engine nothing. An entry is dropped by
 * the engine's events and after a short time anyway: events can be late or lost, and a stale entry only costs an error
 * from the exec itself.
 */

import { setImmediate as turn } from 'node:timers/promises'
import { HatchwayError, isFailure, undefinedIf } from '../base/errors.ts'
import { changesNothing } from '../engine/changes-nothing.ts'
import {
  type Container,
  type ContainerSummary,
  type Directory,
  type Engine,
  type EngineEvent,
  engineOf,
} from '../engine/engine.ts'
import { engineLimit } from '../engine/messages.ts'
import { BoundedMap } from '../lifetime/bounded-map.ts'
import { withDeadline } from '../lifetime/deadline.ts'
import { unlessAborted } from '../lifetime/on-abort.ts'
import { createKeyedSemaphore } from '../lifetime/semaphore.ts'
import { type EnvInfo, type Probed, probeEnvInfo } from './envinfo.ts'
import { findContainer, notFound } from './find.ts'
import { type ContainerHost, containerHosts } from './host-names.ts'
import { unchanged } from './inside-file.ts'
import { createNameIndex, type NameIndex } from './name-index.ts'
import type { Aliases } from './names.ts'

const INSPECT_TTL_MS = 2_000
/** `useradd` inside is seen after that at the latest; a user that was not found is not remembered. */
const ENVINFO_TTL_MS = 10_000
/** A session's start asks several times, one after the other (env, pty, shell): it waits for an engine that hangs once. */
const TIMEOUT_HOLDS_MS = 1_000
/** Of one question to the engine, however many calls it takes. */
const PROBE_MS = 15_000
const MAX_ENTRIES = 4096
const AT_ONE_TURN = 500
/** An answer that is out of date is looked at anew; a name that is moved all the time is none. */
const LOOKS = 3
/** Docker itself takes an id prefix of one digit; a name that short is a guess. */
const SHORT_ID = /^[0-9a-f]{1,3}$/
/** They name no engine, of which somebody may have nothing to know. */
const NOT_ALL_ASKED = 'not every container engine can be asked now'
const NONE_ASKED = 'no container engine can be asked now'

/** Where a connection's user name leads, once the engine and the policy were asked. */
export interface Target {
  readonly container: Container
  readonly info: EnvInfo
}

interface Entry<T> {
  readonly value: Promise<T>
  readonly containerId?: string
  /** Without end while it is asked: on an engine that hangs all wait for one question, and for one limit. */
  until: number
}

const ALL = 'all'

export class Containers {
  readonly #engine: Engine
  readonly #inspected = new BoundedMap<string, Entry<Container>>(MAX_ENTRIES)
  readonly #envInfos = new BoundedMap<string, Entry<EnvInfo>>(MAX_ENTRIES)
  /** The last probes, whose entries may have run out: asking whether one still holds costs a fraction of another. */
  readonly #probed = new BoundedMap<string, Probed>(MAX_ENTRIES)
  /** A probe has a passwd file in memory, and whoever logs in may name any user: one at a time for each asker and container. */
  readonly #probing = createKeyedSemaphore({ atOnce: 1 })
  readonly #listed = new BoundedMap<typeof ALL, Entry<readonly ContainerSummary[]>>(1)
  readonly #aliases: Aliases
  readonly #probeMs: number
  /** Of several engines. */
  readonly #names: NameIndex | undefined

  constructor(engine: Engine, aliases: Aliases = {}, probeMs = PROBE_MS) {
    this.#engine = engine
    this.#aliases = aliases
    this.#probeMs = probeMs
    this.#names = engine.parts && createNameIndex(engine.parts.directory, aliases)
  }

  /**
   * The container that `ref` names; `host`: as a client has made it of a host's name.
   * @param mayEnter decides which containers exist for this identity
   * @throws HatchwayError CONTAINER_NOT_FOUND (also for one that may not be entered), CONTAINER_AMBIGUOUS, ENGINE_*
   */
  async resolve(
    ref: string,
    mayEnter: (container: Container | ContainerSummary) => Promise<boolean>,
    signal: AbortSignal,
    host = false,
  ): Promise<Container> {
    signal.throwIfAborted()
    const directory = this.#engine.parts?.directory
    if (directory && this.#names) return this.#looked(directory, this.#names, ref, mayEnter, signal, host)
    // The engine knows nothing of the names that come before its own, or of capitals made small. Where no exec takes a user
    // (Kubernetes), an inspection runs a program inside to learn its own: the policy is asked before, of the list.
    const inspectsInside = this.#engine.carries?.user === 'none'
    const engineDecides = !host && !inspectsInside && !Object.hasOwn(this.#aliases, ref) && !SHORT_ID.test(ref)
    const direct = engineDecides ? await unlessAborted(this.#inspect(ref), signal) : undefined
    if (direct && (await mayEnter(direct))) return direct
    const look = async (containers: readonly ContainerSummary[]) => {
      const visible: ContainerSummary[] = []
      for (const container of containers) if (await mayEnter(container)) visible.push(container)
      if (direct) throw notFound(ref, visible)
      const { id } = findContainer(ref, visible, { aliases: this.#aliases, host })
      const found = await this.#inspect(id)
      if (!found) throw notFound(ref, visible)
      return found
    }
    // One session asks several times within a moment; that there is no such container is only said of a list of now.
    const known = this.#listed.get(ALL)
    if (known && known.until > Date.now()) {
      try {
        return await look(await unlessAborted(known.value, signal))
      } catch (error) {
        if (error instanceof HatchwayError && error.code.startsWith('ENGINE_')) throw error
        signal.throwIfAborted()
        if (this.#listed.get(ALL) === known) this.#listed.delete(ALL)
      }
    }
    const listed = this.#cached(this.#listed, ALL, INSPECT_TTL_MS, undefined, (limit) => this.#engine.list(limit))
    return look(await unlessAborted(listed, signal))
  }

  /** By the names that are kept: the engine is asked for the one container that is meant, and nobody else's. */
  async #looked(
    directory: Directory,
    names: NameIndex,
    ref: string,
    mayEnter: (container: Container | ContainerSummary) => Promise<boolean>,
    signal: AbortSignal,
    host: boolean,
  ): Promise<Container> {
    // Before an engine was asked for the first time, nothing tells that it has no other container of this name.
    await directory.asked(signal)
    let stale: string | undefined
    for (let looks = 0; looks < LOOKS; looks++) {
      if (looks > 0) await directory.settled(signal, stale)
      const meant = await names.find(ref, mayEnter, host)
      if (!meant) continue
      const found = await unlessAborted(this.#inspect(meant.id), signal)
      // It may have been removed, or be called otherwise, since its engine was asked for all.
      if (found?.name === meant.name && (await mayEnter(found))) return found
      stale = meant.engine
    }
    const unseen = directory.unseen()
    const [first] = unseen
    // Where none has ever answered nothing is known of any name, as of one engine that is away.
    if (first && this.#isAll(unseen)) throw new HatchwayError(first.error.code, NONE_ASKED, { cause: first.error })
    const error = await names.notFound(ref, mayEnter)
    // An engine that cannot be asked is not one without containers.
    const also = first ? ` (${NOT_ALL_ASKED})` : ''
    throw new HatchwayError(error.code, error.message + also)
  }

  /** By its full id; undefined: it is gone. Whether it may be entered is the caller's to ask. */
  async known(id: string, signal: AbortSignal): Promise<Container | undefined> {
    return unlessAborted(this.#inspect(id), signal)
  }

  /** Puts a container beside one in which nothing of ours can start. Returns it as it is then. @throws HatchwayError */
  async accompanied(container: Container, tell: (words: string) => void, signal: AbortSignal): Promise<Container> {
    const { beside } = engineOf(this.#engine, container.id)
    if (!beside) throw noWayIn(container)
    await beside.add(container.id, tell, signal)
    this.#inspected.clear()
    const found = await this.known(container.id, signal)
    if (found?.beside !== 'used') throw noWayIn(container)
    return found
  }

  /** All that this identity may enter, as of now. @throws HatchwayError ENGINE_* */
  async *visible(
    mayEnter: (container: ContainerSummary) => Promise<boolean>,
    signal: AbortSignal,
  ): AsyncGenerator<ContainerSummary> {
    const limit = engineLimit('listing containers', this.#probeMs)
    const all = await withDeadline(limit, [signal], (limited) => this.#engine.list(limited))
    let asked = 0
    for (const container of all) {
      // Others have their turn while somebody lists a hundred thousand.
      if (++asked % AT_ONE_TURN === 0) await turn()
      if (await mayEnter(container)) yield container
    }
  }

  /** What of several engines could not be told now, as sentences; of engines where they could enter nothing, no name. */
  async unanswered(mayEnter: (container: ContainerSummary) => Promise<boolean>): Promise<string[]> {
    const { parts } = this.#engine
    const away = parts?.unanswered() ?? []
    if (!parts || away.length === 0) return []
    const known = new Set<string>()
    for (const container of parts.directory.containers.values()) {
      const { engine = '' } = container
      if (known.has(engine) || !away.some((one) => one.engine === engine)) continue
      if (await mayEnter(container)) known.add(engine)
    }
    const sentences = away.filter(({ engine }) => known.has(engine)).map(({ error }) => error.message)
    const unseen = parts.directory.unseen()
    if (unseen.length === 0) return sentences
    return [...sentences, this.#isAll(unseen) ? NONE_ASKED : NOT_ALL_ASKED]
  }

  #isAll(engines: readonly unknown[]): boolean {
    return engines.length === this.#engine.parts?.all.length
  }

  /** The names under which this identity may enter one, as of now. @throws HatchwayError ENGINE_* */
  async hosts(
    mayEnter: (container: ContainerSummary) => Promise<boolean>,
    signal: AbortSignal,
  ): Promise<ContainerHost[]> {
    const visible: ContainerSummary[] = []
    for await (const container of this.visible(mayEnter, signal)) visible.push(container)
    return containerHosts(visible, this.#aliases)
  }

  /**
   * `asker`: whoever waits behind their own questions about other users of this container, and behind nobody else's.
   * @throws HatchwayError USER_NOT_FOUND, USER_BROKEN, ENGINE_*, or the signal's reason
   */
  async envInfo(container: Container, user: string | undefined, asker: string, signal: AbortSignal): Promise<EnvInfo> {
    if (container.beside === 'needed') throw noWayIn(container)
    const leave = await this.#probing.enter(`${container.id} ${asker}`, signal)
    const key = `${container.id} ${container.startedAt} ${user ?? ''}`
    const info = this.#cached(this.#envInfos, key, ENVINFO_TTL_MS, container.id, async (limit) => {
      const last = this.#probed.get(key)
      if (last && (await unchanged(this.#engine, container.id, last.seen, limit))) return last.info
      this.#probed.delete(key)
      const probed = await probeEnvInfo(this.#engine, container, user, limit)
      this.#probed.set(key, probed)
      return probed.info
    })
    // A caller that goes does not end the probe, which may be another's, too.
    info.then(leave, leave)
    return unlessAborted(info, signal)
  }

  async #inspect(ref: string): Promise<Container | undefined> {
    const inspect = (limit: AbortSignal) => this.#engine.inspect(ref, limit)
    const asked = this.#cached(this.#inspected, ref, INSPECT_TTL_MS, undefined, inspect)
    const found = await asked.catch(undefinedIf('CONTAINER_NOT_FOUND'))
    if (!found) return undefined
    // A connection asks by the name first and then by the id.
    const entry = this.#inspected.get(ref)
    if (entry && entry.until > (this.#inspected.get(found.id)?.until ?? 0)) this.#inspected.set(found.id, entry)
    return found
  }

  /** Forget what an event may have changed. Names move by rename, create and destroy, so inspections all go. */
  forget(event: EngineEvent): void {
    // What sessions and our own probe of passwd make the engine tell; none of it changes a container.
    if (event.type === 'lost' || (event.type === 'container' && changesNothing(event.action))) return
    // Of several engines, inspections are kept by ids alone: an event of one container says nothing of another.
    if (event.type === 'container' && this.#engine.parts) this.#inspected.delete(event.id)
    else this.#inspected.clear()
    this.#listed.clear()
    for (const [key, entry] of this.#envInfos) {
      if (event.type === 'reconnected' || entry.containerId === event.id) this.#envInfos.delete(key)
    }
  }

  /** Follow the engine's events until the signal aborts; `heard` is told each of them. */
  async follow(signal: AbortSignal, heard: (event: EngineEvent) => void = () => {}): Promise<void> {
    for await (const event of this.#engine.events(signal)) {
      this.forget(event)
      heard(event)
    }
  }

  /** One probe for concurrent callers, so none of them may abort it: it has its own limit. No failure is kept but an engine's hanging. */
  #cached<K extends string, T>(
    cache: BoundedMap<K, Entry<T>>,
    key: K,
    ttl: number,
    containerId: string | undefined,
    probe: (limit: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const now = Date.now()
    const known = cache.get(key)
    if (known && known.until > now) return known.value
    const value = withDeadline(engineLimit('asking for a container', this.#probeMs), [], probe)
    const entry: Entry<T> = {
      value,
      until: Number.POSITIVE_INFINITY,
      ...(containerId !== undefined && { containerId }),
    }
    cache.set(key, entry)
    value.then(
      () => {
        entry.until = now + ttl
      },
      (error: unknown) => {
        if (isFailure(error, 'ENGINE_TIMEOUT')) entry.until = Date.now() + TIMEOUT_HOLDS_MS
        else if (cache.get(key) === entry) cache.delete(key)
      },
    )
    return value
  }
}

function noWayIn({ name }: Container): HatchwayError {
  return new HatchwayError('NOT_SUPPORTED', `container ${name} has no shell, and nothing runs beside it`)
}
