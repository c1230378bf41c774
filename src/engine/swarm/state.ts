/** What a swarm's manager tells: which service has which tasks, on which node, as which container. Pure. */
import { z } from 'zod'
import { HatchwayError } from '../../base/errors.ts'
import { oneLine } from '../../base/printable.ts'
import { nodeArch } from '../json.ts'

export interface SwarmNode {
  readonly id: string
  readonly hostname: string
  readonly ready: boolean
  /** The manager that was asked. */
  readonly own: boolean
  /** As EngineInfo.arch. */
  readonly arch: string
}

export interface SwarmTask {
  readonly id: string
  /** As people name it: "web.2", of a service with a task on each node "web.NODE". */
  readonly name: string
  /** The name of its service, "web". */
  readonly service: string
  /** Absent: it has been given no node yet. */
  readonly node: SwarmNode | undefined
  /** Absent: there is no container yet, or no more. */
  readonly containerId: string | undefined
  /** "running", "preparing", "failed" ... */
  readonly state: string
  /** What went wrong, in the node's words. */
  readonly error: string
}

export interface SwarmState {
  readonly tasks: readonly SwarmTask[]
  readonly byId: ReadonlyMap<string, SwarmTask>
  readonly byContainer: ReadonlyMap<string, SwarmTask>
}

const text = z.string().catch('')

const serviceAnswer = z.object({ ID: z.string(), Spec: z.object({ Name: text }) })
const nodeAnswer = z.object({
  ID: z.string(),
  Description: z
    .object({ Hostname: text, Platform: z.object({ Architecture: text }).catch({ Architecture: '' }) })
    .catch({ Hostname: '', Platform: { Architecture: '' } }),
  Status: z.object({ State: text }).catch({ State: '' }),
})
const taskAnswer = z.object({
  ID: z.string(),
  ServiceID: text,
  NodeID: text,
  /** Of a service with a number of tasks, from 1. */
  Slot: z.number().int().optional().catch(undefined),
  Status: z
    .object({
      State: text,
      Err: text,
      ContainerStatus: z.object({ ContainerID: text }).nullish().catch(undefined),
    })
    .catch({ State: '', Err: '' }),
})

/** Of the answer of /info: the manager's own node. */
export function parseOwnNode(info: unknown): string {
  return z
    .object({ Swarm: z.object({ NodeID: text }) })
    .catch({ Swarm: { NodeID: '' } })
    .parse(info).Swarm.NodeID
}

/** The answers of /services, /nodes and /tasks, as JSON values. @throws HatchwayError ENGINE_ERROR */
export function parseSwarm(services: unknown, nodes: unknown, tasks: unknown, ownNode: string): SwarmState {
  try {
    return toState(services, nodes, tasks, ownNode)
  } catch (cause) {
    throw new HatchwayError('ENGINE_ERROR', 'the swarm’s manager gave an answer that makes no sense', { cause })
  }
}

function toState(services: unknown, nodes: unknown, tasks: unknown, ownNode: string): SwarmState {
  const names = new Map(
    z
      .array(serviceAnswer)
      .parse(services)
      .map(({ ID, Spec }) => [ID, Spec.Name]),
  )
  const places = new Map(
    z
      .array(nodeAnswer)
      .parse(nodes)
      .map((node) => [node.ID, toNode(node, ownNode)]),
  )
  const all = z
    .array(taskAnswer)
    .parse(tasks)
    .flatMap((task): SwarmTask[] => {
      const service = names.get(task.ServiceID)
      // Of a service that was removed a moment ago.
      if (service === undefined) return []
      const node = places.get(task.NodeID)
      const { State: state, Err: error, ContainerStatus } = task.Status
      const place = task.Slot || node?.hostname || task.NodeID
      const containerId = ContainerStatus?.ContainerID || undefined
      return [{ id: task.ID, name: `${service}.${place}`, service, node, containerId, state, error }]
    })
  all.sort((a, b) => a.service.localeCompare(b.service) || slotOf(a) - slotOf(b) || a.name.localeCompare(b.name))
  const byContainer = new Map(all.flatMap((task) => (task.containerId === undefined ? [] : [[task.containerId, task]])))
  return { tasks: all, byId: new Map(all.map((task) => [task.id, task])), byContainer }
}

function toNode({ ID, Description, Status }: z.infer<typeof nodeAnswer>, ownNode: string): SwarmNode {
  const arch = nodeArch(Description.Platform.Architecture)
  return { id: ID, hostname: Description.Hostname, ready: Status.State === 'ready', own: ID === ownNode, arch }
}

function slotOf({ name, service }: SwarmTask): number {
  const slot = Number(name.slice(service.length + 1))
  return Number.isInteger(slot) ? slot : Number.MAX_SAFE_INTEGER
}

/** Task ids have 25 characters; lists show 12 of them. A name that short is a guess. */
const SHORTEST_TASK_ID = 4

/**
 * The task that a name means: a container's id or the beginning of one, "service", "service.2", "service.NODE", a task's id or
 * the beginning of one, a container's whole name "service.2.TASK". Of a service it is the first that runs, by its number, so
 * that it is the same one each time and another where that one is gone.
 *
 * @param reachable of tasks that mean the same, those come first for which this is true
 * @throws HatchwayError CONTAINER_NOT_FOUND, CONTAINER_AMBIGUOUS, CONTAINER_NOT_RUNNING
 */
export function findTask(ref: string, state: SwarmState, reachable: (task: SwarmTask) => boolean): SwarmTask {
  const whole = state.byContainer.get(ref)
  if (whole !== undefined) return whole
  const named = state.tasks.filter(({ name, service }) => ref === service || ref === name)
  // While a task is replaced there are two of a name.
  if (named.length > 0) return firstRunning(ref, named, reachable)
  const exact = state.tasks.filter(
    (task) => ref === task.id || ref === dockerName(task) || ref === `${task.name}.${task.id}`,
  )
  const found =
    exact.length > 0 || ref.length < SHORTEST_TASK_ID
      ? exact
      : state.tasks.filter(({ id, containerId }) => id.startsWith(ref) || containerId?.startsWith(ref))
  const [only] = found
  if (only === undefined) throw new HatchwayError('CONTAINER_NOT_FOUND', `no container ${oneLine(ref, 80)}`)
  if (found.length > 1) {
    const begun = `more than one container begins with ${oneLine(ref, 80)}`
    throw new HatchwayError('CONTAINER_AMBIGUOUS', begun)
  }
  return firstRunning(ref, [only], reachable)
}

/** As the node names the container of a service that has a task on each node. */
function dockerName({ service, node, id }: SwarmTask): string {
  return `${service}.${node?.id}.${id}`
}

function firstRunning(
  ref: string,
  tasks: readonly SwarmTask[],
  reachable: (task: SwarmTask) => boolean,
): SwarmTask & { readonly containerId: string } {
  const running = tasks.filter(isRunning)
  const found =
    running.find((task) => task.node?.ready && reachable(task)) ??
    running.find((task) => task.node?.ready) ??
    running[0]
  if (found !== undefined) return found
  const [first] = tasks
  const now = first === undefined ? '' : `${first.state}${first.error === '' ? '' : `: ${oneLine(first.error, 200)}`}`
  throw new HatchwayError('CONTAINER_NOT_RUNNING', `no task of ${oneLine(ref, 80)} runs (${now})`)
}

function isRunning(task: SwarmTask): task is SwarmTask & { readonly containerId: string } {
  return task.state === 'running' && task.containerId !== undefined
}
