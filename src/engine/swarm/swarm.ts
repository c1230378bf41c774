/**
 * Engine over a swarm: its manager says which node runs which task, the engine of that node does all the rest. The nodes'
 * engines are given, and are of any kind that copies files and makes holders.
 */
import { HatchwayError, isFailure, undefinedIf } from '../../base/errors.ts'
import { BoundedMap } from '../../lifetime/bounded-map.ts'
import { withDeadline } from '../../lifetime/deadline.ts'
import type { Container, ContainerSummary, Copies, Engine, EngineEvent, Holders } from '../engine.ts'
import { mergedEvents } from '../merged-events.ts'
import { engineLimit } from '../messages.ts'
import { isContainerRef } from '../ref.ts'
import { ASK_AGAIN_MS, type AskManager, createSwarmManager, POLL_MS } from './manager.ts'
import { findTask, type SwarmState, type SwarmTask } from './state.ts'

export interface SwarmOptions {
  readonly ask: AskManager
  /** Of `ask`. */
  close(): void
  /** The engine at the manager's address, which is that of the manager's own node where `nodes` has none. */
  readonly manager: Engine
  /** By a node's name or its id. */
  readonly nodes: ReadonlyMap<string, Engine>
}

const TASK_LABEL = 'com.docker.swarm.task.id'
/** A node that does not answer keeps the lists of the others for no longer. */
const NODE_LIST_MS = 4_000
const MAX_KNOWN = 50_000

export function createSwarmEngine({ ask, close, manager: atManager, nodes }: SwarmOptions): Engine {
  const manager = createSwarmManager(ask)
  const all = [...nodes.values(), atManager]
  /** Where a container was seen last: what runs in it outlives its task in the manager's answers. */
  const seen = new BoundedMap<string, Engine>(MAX_KNOWN)

  function engineOfNode(node: SwarmTask['node']): Engine | undefined {
    return node && (nodes.get(node.hostname) ?? nodes.get(node.id) ?? (node.own ? atManager : undefined))
  }

  function engineOfTask(task: SwarmTask): Engine {
    const engine = engineOfNode(task.node)
    if (engine !== undefined) return engine
    const where =
      task.node === undefined ? 'on no node yet' : `on ${task.node.hostname}, whose engine is not configured`
    throw new HatchwayError('ENGINE_UNAVAILABLE', `${task.name} runs ${where}`)
  }

  /** @throws HatchwayError CONTAINER_NOT_FOUND */
  function engineOf(containerId: string): Engine {
    const task = manager.last?.byContainer.get(containerId)
    // The manager's word before a node's.
    if (task?.node !== undefined) return engineOfTask(task)
    const known = seen.get(containerId)
    if (known !== undefined) return known
    if (task !== undefined) return engineOfTask(task)
    throw new HatchwayError('CONTAINER_NOT_FOUND', 'the container is no task of the swarm any more')
  }

  async function inspectIn(state: SwarmState, ref: string, signal: AbortSignal): Promise<Container> {
    const known = seen.get(ref)
    if (known !== undefined && !state.byContainer.has(ref)) {
      // One that the manager does not know yet, or has replaced; the node has it, or not.
      const found = await known.inspect(ref, signal)
      return { ...found, name: taskOf(found, state)?.name ?? found.name }
    }
    const task = findTask(ref, state, ({ node }) => engineOfNode(node) !== undefined)
    const engine = engineOfTask(task)
    const found = await engine.inspect(task.containerId ?? '', signal)
    seen.set(found.id, engine)
    return { ...found, name: task.name, ...(task.node && { arch: task.node.arch }) }
  }

  async function inspect(ref: string, signal: AbortSignal): Promise<Container> {
    if (!isContainerRef(ref)) throw new HatchwayError('CONTAINER_NOT_FOUND', `no container ${JSON.stringify(ref)}`)
    const state = await manager.state(POLL_MS, signal)
    try {
      const found = await inspectIn(state, ref, signal)
      if (found.state === 'running' || found.id === ref) return found
    } catch (error) {
      if (!isFailure(error, 'CONTAINER_NOT_FOUND', 'CONTAINER_NOT_RUNNING')) throw error
      const now = await manager.state(ASK_AGAIN_MS, signal)
      if (now === state) throw error
      return inspectIn(now, ref, signal)
    }
    // What the name led to a moment ago has ended; the swarm puts another in its place.
    return inspectIn(await manager.state(ASK_AGAIN_MS, signal), ref, signal)
  }

  /** Nodes that have tasks, each once. */
  function used(state: SwarmState): Engine[] {
    const engines = state.tasks.map(({ node }) => engineOfNode(node))
    return [...new Set(engines)].filter((engine) => engine !== undefined)
  }

  async function list(signal: AbortSignal): Promise<ContainerSummary[]> {
    const state = await manager.state(ASK_AGAIN_MS, signal)
    const limit = engineLimit('listing containers', NODE_LIST_MS)
    const answers = await Promise.allSettled(
      used(state).map(async (engine) => {
        const found = await withDeadline(limit, [signal], (limited) => engine.list(limited))
        return found.map((container) => ({ container, engine }))
      }),
    )
    signal.throwIfAborted()
    const failed = answers.find((answer) => answer.status === 'rejected')
    if (failed !== undefined && answers.every(({ status }) => status === 'rejected')) throw failed.reason
    const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
    return found.flatMap(({ container, engine }) => {
      const task = taskOf(container, state)
      if (task === undefined || engineOfNode(task.node) !== engine) return []
      seen.set(container.id, engine)
      return [{ ...container, name: task.name, service: task.service, task: task.id }]
    })
  }

  function events(signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const ofNodes = all.map((engine) => async (tell: (event: EngineEvent) => void, until: AbortSignal) => {
      // One node that is away is not the swarm.
      for await (const event of engine.events(until)) if (event.type !== 'lost') tell(event)
    })
    const ofTasks = async (tell: (event: EngineEvent) => void, until: AbortSignal) => {
      let away = false
      await manager.follow(until, (now, before) => {
        if (now instanceof Error) {
          if (!away && now instanceof HatchwayError) tell({ type: 'lost', error: now })
          away = true
          return
        }
        if (away) tell({ type: 'reconnected' })
        away = false
        for (const id of moved(before, now)) tell({ type: 'container', action: 'task', id })
      })
    }
    return mergedEvents([...ofNodes, ofTasks], signal)
  }

  // No lifecycle: the swarm starts its tasks, and puts another in the place of one that was stopped.
  return {
    kind: 'swarm',
    endpoint: atManager.endpoint,
    async info(signal) {
      // Its containers say themselves of what kind their machine is.
      const { product, version, arch } = await atManager.info(signal)
      return { product, version, arch, local: false }
    },
    list,
    inspect,
    async exec(containerId, spec, sink, signal) {
      try {
        const exec = await engineOf(containerId).exec(containerId, spec, sink, signal)
        const exit = exec.exit.catch((error: unknown) => {
          throw asTask(error)
        })
        // A caller that closes before it asks for `exit` must not be killed by what nobody handles.
        exit.catch(() => {})
        return { ...exec, exit }
      } catch (error) {
        throw asTask(error)
      }
    },
    copies: swarmCopies(engineOf),
    holders: swarmHolders(engineOf, all),
    events,
    async close() {
      close()
      for (const engine of all) await engine.close()
    },
  }
}

/**
 * By the manager's word, not by the label alone, which any image or `docker run` may give; and not of what it has replaced.
 * The label decides only while the manager does not know the task's container yet.
 */
function taskOf({ id, labels }: Pick<ContainerSummary, 'id' | 'labels'>, state: SwarmState): SwarmTask | undefined {
  const task = state.byId.get(labels[TASK_LABEL] ?? '')
  return task?.containerId === undefined || task.containerId === id ? task : undefined
}

/** A node calls the container of a task "web.2.0a21phdaxy21olpomug0a9o16". */
function asTask(error: unknown): unknown {
  if (!(error instanceof HatchwayError)) return error
  const message = error.message.replace(/(\S)\.[a-z0-9]{25}\b/g, '$1')
  return message === error.message ? error : new HatchwayError(error.code, message, { cause: error.cause })
}

function swarmCopies(engineOf: (containerId: string) => Engine): Required<Copies> {
  const of = (containerId: string): Copies => {
    const { copies } = engineOf(containerId)
    if (copies !== undefined) return copies
    throw new HatchwayError('NOT_SUPPORTED', 'the engine of this container copies no files')
  }
  return {
    copyOut: async (id, ...rest) => of(id).copyOut(id, ...rest),
    // Text that is another each time: what cannot be told has to be read anew.
    async statPath(id, ...rest) {
      try {
        return await (of(id).statPath?.(id, ...rest) ?? `unknown ${performance.now()}`)
      } catch (error) {
        return undefinedIf('CONTAINER_NOT_FOUND')(error)
      }
    },
    copyIn: async (id, ...rest) => of(id).copyIn(id, ...rest),
    readArchive: async (id, ...rest) => of(id).readArchive(id, ...rest),
    writeArchive: async (id, ...rest) => of(id).writeArchive(id, ...rest),
  }
}

function swarmHolders(engineOf: (containerId: string) => Engine, all: readonly Engine[]): Holders {
  return {
    async start(spec, signal) {
      const { holders } = engineOf(spec.containerId)
      if (holders !== undefined) return holders.start(spec, signal)
      throw new HatchwayError('NOT_SUPPORTED', 'the engine of this container makes no holders')
    },
    async sweep(signal) {
      const swept = await Promise.allSettled(all.map((engine) => engine.holders?.sweep(signal)))
      return swept.reduce((sum, one) => sum + (one.status === 'fulfilled' ? (one.value ?? 0) : 0), 0)
    },
    async forget(repository, signal) {
      await Promise.allSettled(all.map((engine) => engine.holders?.forget(repository, signal)))
    },
  }
}

/** Containers that have come or gone. */
function moved(before: SwarmState | undefined, now: SwarmState): string[] {
  if (before === undefined) return []
  const gone = [...before.byContainer.keys()].filter((id) => !now.byContainer.has(id))
  return [...gone, ...[...now.byContainer.keys()].filter((id) => !before.byContainer.has(id))]
}
