/** One engine as one of several: its containers' ids begin with its name, and its failures say whose they are. */
import { HatchwayError } from '../../base/errors.ts'
import type {
  Beside,
  Container,
  ContainerSummary,
  Copies,
  Engine,
  EngineEvent,
  Holders,
  Lifecycle,
  Marks,
} from '../engine.ts'

export interface NamedEngine extends Engine {
  readonly name: string
  summaries(ids: readonly string[], signal: AbortSignal): Promise<ContainerSummary[]>
  events(signal: AbortSignal): AsyncGenerator<EngineEvent>
}

/** "build1/4f0c..." → "build1"; undefined: no id of one of several. */
export function engineNameOf(containerId: string): string | undefined {
  const slash = containerId.indexOf('/')
  return slash < 0 ? undefined : containerId.slice(0, slash)
}

export function nameEngine(name: string, engine: Engine): NamedEngine {
  const prefix = `${name}/`
  /** A name is taken as it is. */
  const own = (ref: string) => (ref.startsWith(prefix) ? ref.slice(prefix.length) : ref)
  const whole = <T extends Container | ContainerSummary>(found: T): T => ({
    ...found,
    id: prefix + found.id,
    engine: name,
  })

  /** The engine's failures, by name. */
  async function told<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer
    } catch (error) {
      throw error instanceof HatchwayError && error.code.startsWith('ENGINE_') ? ofEngine(name, error) : error
    }
  }

  function copiesOf(copies: Copies): Copies {
    const { statPath } = copies
    return {
      copyOut: (id, path, limit, signal) => told(copies.copyOut(own(id), path, limit, signal)),
      copyIn: (id, path, tar, signal) => told(copies.copyIn(own(id), path, tar, signal)),
      readArchive: (id, path, signal) => told(copies.readArchive(own(id), path, signal)),
      writeArchive: (id, path, tar, signal) => told(copies.writeArchive(own(id), path, tar, signal)),
      ...(statPath && { statPath: (id, path, signal) => told(statPath(own(id), path, signal)) }),
    }
  }

  const holdersOf = (holders: Holders): Holders => ({
    start: (spec, signal) => told(holders.start({ ...spec, containerId: own(spec.containerId) }, signal)),
    sweep: (signal) => told(holders.sweep(signal)),
    forget: (repository, signal) => told(holders.forget(repository, signal)),
  })

  const lifecycleOf = (lifecycle: Lifecycle): Lifecycle => ({
    start: (id, signal) => told(lifecycle.start(own(id), signal)),
    unpause: (id, signal) => told(lifecycle.unpause(own(id), signal)),
    stop: (id, grace, signal) => told(lifecycle.stop(own(id), grace, signal)),
    othersInside: (id, signal) => told(lifecycle.othersInside(own(id), signal)),
    anyInside: (id, signal) => told(lifecycle.anyInside(own(id), signal)),
    logs: (id, lines, signal) => told(lifecycle.logs(own(id), lines, signal)),
    create: async (spec, signal) => prefix + (await told(lifecycle.create(spec, signal))),
    remove: (ref, signal) => told(lifecycle.remove(own(ref), signal)),
    pull: (image, progress, signal) => told(lifecycle.pull(image, progress, signal)),
    ...(lifecycle.comesUp && { comesUp: (id, tell, signal) => told(comesUp(lifecycle, own(id), tell, signal)) }),
  })

  const marksOf = (marks: Marks): Marks => ({
    put: (mark, signal) => told(marks.put(mark, signal)),
    list: (signal) => told(marks.list(signal)),
    drop: (mark, signal) => told(marks.drop(mark, signal)),
  })

  // The same object each time: who made something with one compares it with that of now.
  const copies = perSource(copiesOf)
  const holders = perSource(holdersOf)
  const lifecycle = perSource(lifecycleOf)
  const marks = perSource(marksOf)
  const beside = perSource(
    ({ add }: Beside): Beside => ({ add: (id, tell, signal) => told(add(own(id), tell, signal)) }),
  )

  const fixed: Omit<NamedEngine, 'kind' | 'endpoint'> = {
    name,
    info: (signal) => told(engine.info(signal)),
    daemonId: async (signal) => engine.daemonId && told(engine.daemonId(signal)),
    list: async (signal) => (await told(engine.list(signal))).map(whole),
    summaries: async (ids, signal) => {
      // Another engine may have taken the place of one that can.
      if (!engine.summaries) return (await told(engine.list(signal))).map(whole).filter(({ id }) => ids.includes(id))
      return (await told(engine.summaries(ids.map(own), signal))).map(whole)
    },
    inspect: async (ref, signal) => whole(await told(engine.inspect(own(ref), signal))),
    exec: (id, spec, sink, signal) => told(engine.exec(own(id), spec, sink, signal)),
    async *events(signal) {
      for await (const event of engine.events(signal)) {
        if (event.type === 'container') yield { ...event, id: prefix + event.id }
        else if (event.type === 'lost') yield { ...event, error: ofEngine(name, event.error), engine: name }
        else yield { ...event, engine: name }
      }
    },
    close: () => engine.close(),
  }
  // What it is and can do may change: another engine may take its place (choose-again.ts).
  return Object.defineProperties(fixed, {
    kind: { get: () => engine.kind, enumerable: true },
    endpoint: { get: () => engine.endpoint, enumerable: true },
    carries: { get: () => engine.carries, enumerable: true },
    copies: { get: () => copies(engine.copies), enumerable: true },
    holders: { get: () => holders(engine.holders), enumerable: true },
    lifecycle: { get: () => lifecycle(engine.lifecycle), enumerable: true },
    marks: { get: () => marks(engine.marks), enumerable: true },
    beside: { get: () => beside(engine.beside), enumerable: true },
  }) as NamedEngine
}

async function comesUp(
  { comesUp: wait }: Lifecycle,
  ...call: Parameters<NonNullable<Lifecycle['comesUp']>>
): Promise<void> {
  await wait?.(...call)
}

export function ofEngine(name: string, { code, message, cause }: HatchwayError): HatchwayError {
  return new HatchwayError(code, message.replace(/^the container engine\b/, `engine ${name}`), { cause })
}

function perSource<Source extends object>(make: (source: Source) => Source): (source?: Source) => Source | undefined {
  const made = new WeakMap<Source, Source>()
  return (source) => {
    if (source === undefined) return undefined
    const known = made.get(source) ?? make(source)
    made.set(source, known)
    return known
  }
}
