/** Engines that do as the test says: which containers they have, that they hang, refuse or go away. For faults of several. */
import { HatchwayError } from '../../src/base/errors.ts'
import type { Container, ContainerSummary, Engine, EngineEvent } from '../../src/engine/engine.ts'
import { createEventQueue } from '../../src/engine/many/event-queue.ts'
import { onAbort } from '../../src/lifetime/on-abort.ts'

export interface FakeEngine extends Engine {
  /** Calls, in order: "list", "inspect NAME". */
  readonly calls: string[]
  /** Makes one and tells of it. Returns its id. */
  add(name: string, more?: Partial<ContainerSummary>): string
  /** Removes one and tells of it. */
  drop(name: string): void
  /** It has these from now on, and nobody is told. */
  become(names: readonly string[]): void
  /** It says that it has what that one has, from now on. */
  copy(other: FakeEngine): void
  /** Names of marks that were put, also of those that are dropped by now. */
  readonly put: string[]
  /** What its calls do from now on: answer, never end, or fail. */
  does: 'answer' | 'hang' | 'fail'
  tell(event: EngineEvent): void
}

let made = 0

export function fakeEngine(endpoint: string, names: readonly string[] = [], id?: string): FakeEngine {
  let containers: ContainerSummary[] = []
  const listeners = new Set<(event: EngineEvent) => void>()
  const marks = new Set<string>()
  const put: string[] = []
  const create = (name: string, more: Partial<ContainerSummary> = {}): ContainerSummary => ({
    ...{
      id: (++made).toString(16).padStart(8, '0').padEnd(64, 'a'),
      name,
      image: 'busybox',
      state: 'running',
      status: 'Up',
      createdAt: 1,
    },
    ...{ labels: {}, ports: [], mounts: [], ...more },
  })
  const gone = () => new HatchwayError('ENGINE_UNAVAILABLE', 'the container engine is not reachable')

  async function answer<T>(call: string, signal: AbortSignal, result: () => T): Promise<T> {
    signal.throwIfAborted()
    engine.calls.push(call)
    if (engine.does === 'fail') throw gone()
    if (engine.does === 'hang') await new Promise((_, reject) => onAbort(signal, reject))
    return result()
  }

  const engine: FakeEngine = {
    kind: 'fake',
    endpoint,
    calls: [],
    does: 'answer',
    add(name, more) {
      const container = create(name, more)
      containers.push(container)
      engine.tell({ type: 'container', action: 'create', id: container.id })
      return container.id
    },
    drop(name) {
      const found = containers.find((one) => one.name === name)
      containers = containers.filter((one) => one !== found)
      if (found) engine.tell({ type: 'container', action: 'destroy', id: found.id })
    },
    become(next) {
      containers = next.map((name) => create(name))
    },
    copy(other) {
      engine.list = other.list
    },
    put,
    marks: {
      put(name, signal) {
        put.push(name)
        return answer('put a mark', signal, () => void marks.add(name))
      },
      list: (signal) => answer('list marks', signal, () => [...marks]),
      drop: async (name) => void marks.delete(name),
    },
    tell(event) {
      for (const listener of listeners) listener(event)
    },
    info: (signal) => answer('info', signal, () => ({ product: 'docker', version: '1', arch: 'x64', local: false })),
    ...(id !== undefined && { daemonId: async () => id }),
    list: (signal) => answer('list', signal, () => [...containers]),
    inspect: (ref, signal) =>
      answer(`inspect ${ref}`, signal, (): Container => {
        const found = containers.find((one) => one.id === ref || one.name === ref)
        if (!found) throw new HatchwayError('CONTAINER_NOT_FOUND', `no container "${ref}"`)
        const { labels, state, image, mounts, name } = found
        return {
          ...{ id: found.id, name, image, state, labels, mounts, startedAt: '1', exitCode: 0, user: '', workdir: '' },
          ...{ env: [], addresses: [], readOnlyRootfs: false, usernsMode: '' },
        }
      }),
    exec: () => Promise.reject(new HatchwayError('NOT_SUPPORTED', 'a fake')),
    async *events(signal) {
      const queue = createEventQueue<EngineEvent>(signal)
      listeners.add(queue.push)
      try {
        yield* queue.events()
      } finally {
        listeners.delete(queue.push)
      }
    },
    close: async () => {},
  }
  for (const name of names) containers.push(create(name))
  return engine
}
