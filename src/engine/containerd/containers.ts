/** Containers as containerd keeps them: a record with labels and specification, and a task where one runs or did. */

import { inWords } from '../../base/duration.ts'
import { HatchwayError } from '../../base/errors.ts'
import { oneLine } from '../../base/printable.ts'
import { BoundedMap } from '../../lifetime/bounded-map.ts'
import type { Container, ContainerState, ContainerSummary, Mount } from '../engine.ts'
import { isContainerRef } from '../ref.ts'
import { type ContainerdApi, containerdError, isNotFound } from './api.ts'
import { parsePorts } from './ports.ts'
import type { DecodedMessage } from './protobuf.ts'
import { type ContainerdSpec, mountsOf, parseSpec, userOf } from './spec.ts'
import { createStartTimes } from './start-time.ts'

const MAX_NAMES = 10_000
/** nerdctl gives a name, and an id of 64 hex digits, of which a beginning will do; another client's id is a name itself. */
const NAME_LABEL = 'nerdctl/name'
const DIGEST_PREFIX = /^[0-9a-f]{4,63}$/
const DIGEST = /^[0-9a-f]{64}$/

const STATES: readonly ContainerState[] = ['created', 'created', 'running', 'exited', 'paused', 'paused']

/** Of one run. */
export interface Task {
  readonly pid: number
  readonly state: ContainerState
  readonly exitCode: number
}

/** What of a container an exec needs. */
export interface RunningContainer {
  readonly spec: ContainerdSpec
  readonly startedAt: string
}

export interface ContainerdContainers {
  list(signal: AbortSignal): Promise<ContainerSummary[]>
  /** @throws HatchwayError CONTAINER_NOT_FOUND, CONTAINER_AMBIGUOUS, ENGINE_* */
  inspect(ref: string, signal: AbortSignal): Promise<Container>
  /** By id. @throws HatchwayError CONTAINER_NOT_FOUND, CONTAINER_NOT_RUNNING, ENGINE_* */
  running(id: string, signal: AbortSignal): Promise<RunningContainer>
  /** As it was last seen; for sentences. */
  name(id: string): string
}

export function createContainers(api: ContainerdApi): ContainerdContainers {
  const names = new BoundedMap<string, string>(MAX_NAMES)
  const startTimes = createStartTimes()
  const name = (id: string) => names.get(id) ?? id.slice(0, 12)

  async function taskOf(id: string, signal: AbortSignal): Promise<Task | undefined> {
    try {
      return readTask((await api.call('task', { 1: id }, signal)).message(1))
    } catch (error) {
      if (isNotFound(error)) return undefined
      throw containerdError(error, { container: name(id) })
    }
  }

  async function recordOf(id: string, signal: AbortSignal): Promise<DecodedMessage | undefined> {
    try {
      return remember((await api.call('container', { 1: id }, signal)).message(1))
    } catch (error) {
      if (isNotFound(error)) return undefined
      throw containerdError(error, { container: name(id) })
    }
  }

  function remember(record: DecodedMessage): DecodedMessage {
    names.set(record.text(1), nameOf(record))
    return record
  }

  async function find(ref: string, signal: AbortSignal): Promise<DecodedMessage> {
    if (!isContainerRef(ref)) throw new HatchwayError('CONTAINER_NOT_FOUND', `no container ${JSON.stringify(ref)}`)
    const exact = await recordOf(ref, signal)
    if (exact !== undefined) return exact
    const filters = [`labels."${NAME_LABEL}"=="${ref}"`, ...(DIGEST_PREFIX.test(ref) ? [`id~="^${ref}"`] : [])]
    const found = await api.call('containers', { 1: filters }, signal).catch((error: unknown) => {
      throw containerdError(error, {})
    })
    const records = found.messages(1)
    const named = records.filter((record) => nameOf(record) === ref)
    const begin = records.filter((record) => DIGEST.test(record.text(1)) && record.text(1).startsWith(ref))
    const [first, second] = named.length > 0 ? named : begin
    if (second !== undefined)
      throw new HatchwayError('CONTAINER_AMBIGUOUS', `more than one container begins with ${oneLine(ref, 80)}`)
    if (first === undefined) throw new HatchwayError('CONTAINER_NOT_FOUND', `no container ${oneLine(ref, 80)}`)
    return remember(first)
  }

  const startedAt = (record: DecodedMessage, task: Task | undefined) =>
    // A task that has ended keeps its pid, which may be another process by now.
    task === undefined || task.state === 'exited' ? Promise.resolve('') : startTimes.of(task.pid, secondsOf(record, 9))

  return {
    name,

    async list(signal) {
      const [containers, tasks] = await Promise.all([
        api.call('containers', {}, signal),
        api.call('tasks', {}, signal),
      ]).catch((error: unknown) => {
        throw containerdError(error, {})
      })
      const byId = new Map(tasks.messages(1).map((task) => [task.text(2), readTask(task)]))
      return Promise.all(
        containers.messages(1).map(async (record): Promise<ContainerSummary> => {
          const id = remember(record).text(1)
          const task = byId.get(id)
          const labels = record.map(2)
          return {
            id,
            name: nameOf(record),
            image: record.text(3),
            state: task?.state ?? 'created',
            status: statusOf(task, await startedAt(record, task)),
            createdAt: secondsOf(record, 8),
            labels,
            ports: parsePorts(labels['nerdctl/ports']),
            mounts: listedMounts(record),
          }
        }),
      )
    },

    async inspect(ref, signal) {
      const record = await find(ref, signal)
      const spec = specOf(record)
      const task = await taskOf(record.text(1), signal)
      return {
        id: record.text(1),
        name: nameOf(record),
        image: record.text(3),
        state: task?.state ?? 'created',
        startedAt: await startedAt(record, task),
        exitCode: task?.exitCode ?? 0,
        user: userOf(spec),
        workdir: spec.process.cwd,
        env: spec.process.env ?? [],
        labels: record.map(2),
        addresses: [],
        readOnlyRootfs: spec.root.readonly,
        usernsMode: '',
        mounts: mountsOf(spec),
      }
    },

    async running(id, signal) {
      const [record, task] = await Promise.all([recordOf(id, signal), taskOf(id, signal)])
      if (record === undefined) throw new HatchwayError('CONTAINER_NOT_FOUND', `no container ${oneLine(name(id), 80)}`)
      if (task?.state !== 'running') {
        const how = task?.state === 'paused' ? 'is paused' : 'is stopped'
        throw new HatchwayError('CONTAINER_NOT_RUNNING', `container ${oneLine(nameOf(record), 80)} ${how}`)
      }
      return { spec: specOf(record), startedAt: await startedAt(record, task) }
    },
  }
}

function nameOf(record: DecodedMessage): string {
  return record.map(2)[NAME_LABEL] || record.text(1)
}

function specOf(record: DecodedMessage): ContainerdSpec {
  return parseSpec(record.message(5).bytes(2))
}

/** One container that nobody can read is a row all the same. */
function listedMounts(record: DecodedMessage): readonly Mount[] {
  try {
    return mountsOf(specOf(record))
  } catch {
    return []
  }
}

function secondsOf(record: DecodedMessage, field: number): number {
  return Math.max(0, record.message(field).number(1))
}

function readTask(process: DecodedMessage): Task {
  return { pid: process.number(3), state: STATES[process.number(4)] ?? 'created', exitCode: process.number(9) }
}

/** As `docker ps` has it. */
function statusOf(task: Task | undefined, startedAt: string): string {
  if (task === undefined || task.state === 'created') return 'Created'
  if (task.state === 'exited') return `Exited (${task.exitCode})`
  const up = `Up ${inWords(Math.max(1000, Date.now() - Date.parse(startedAt)))}`
  return task.state === 'paused' ? `${up} (Paused)` : up
}
