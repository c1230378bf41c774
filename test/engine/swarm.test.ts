/** Which container a name means in a swarm, by answers of a real manager; and what is asked of whom. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { HatchwayError } from '../../src/base/errors.ts'
import type { Container, ContainerSummary, Engine, EngineEvent } from '../../src/engine/engine.ts'
import { createSwarmManager } from '../../src/engine/swarm/manager.ts'
import { findTask, parseSwarm, type SwarmTask } from '../../src/engine/swarm/state.ts'
import { createSwarmEngine } from '../../src/engine/swarm/swarm.ts'

interface Answers {
  readonly info: { readonly Swarm: { readonly NodeID: string } }
  readonly services: readonly Record<string, unknown>[]
  readonly nodes: readonly Record<string, unknown>[]
  readonly tasks: readonly TaskAnswer[]
}
interface TaskAnswer extends Record<string, unknown> {
  readonly ID: string
  readonly NodeID: string
  readonly Slot?: number
  readonly Status: { readonly State: string; readonly ContainerStatus?: { readonly ContainerID: string } }
}

/** Of Docker 20.10: service web with three tasks, service each with one on each of three nodes. */
const RECORDED: Answers = JSON.parse(readFileSync(join(import.meta.dirname, 'swarm-answers.json'), 'utf8'))
const state = (answers: Answers = RECORDED) =>
  parseSwarm(answers.services, answers.nodes, answers.tasks, answers.info.Swarm.NodeID)
const anywhere = () => true
const task = (name: string) => {
  const found = state().tasks.find((one) => one.name === name)
  if (found?.containerId === undefined) throw new Error(`no ${name}`)
  return { ...found, containerId: found.containerId }
}
const changed = (id: string, change: (one: TaskAnswer) => TaskAnswer | undefined): Answers => ({
  ...RECORDED,
  tasks: RECORDED.tasks.flatMap((one) => (one.ID === id ? (change(one) ?? []) : one)),
})
const failed = (one: TaskAnswer): TaskAnswer => ({
  ...one,
  Status: { State: 'failed', ...{ Err: 'task: non-zero exit (1)' } },
})
const soon = () => AbortSignal.timeout(10_000)

describe('a name', () => {
  const find = (ref: string, answers = RECORDED, reachable: (one: SwarmTask) => boolean = anywhere) =>
    findTask(ref, state(answers), reachable)

  test('tasks are named by service and number, or by service and node', () => {
    expect(state().tasks.map(({ name }) => name)).toEqual([
      ...['each.node1', 'each.node2', 'each.node3'],
      ...['web.1', 'web.2', 'web.3'],
    ])
  })

  test('means a service’s first task, one by its number or node, a task, a container', () => {
    const { id, containerId, node } = task('web.2')
    expect(find('web').name).toBe('web.1')
    expect(find('each').name).toBe('each.node1')
    for (const ref of ['web.2', id, id.slice(0, 12), containerId, containerId.slice(0, 12), `web.2.${id}`]) {
      expect(find(ref), ref).toMatchObject({ name: 'web.2', containerId, node })
    }
    expect(find('each.node3').node?.hostname).toBe('node3')
    const each = task('each.node3')
    expect(find(`each.${each.node?.id}.${each.id}`).id).toBe(each.id)
  })

  test.each(['web.4', 'web.', 'we', 'each.1', 'node1', 'a', ''])('"%s" means nothing', (ref) => {
    expect(() => find(ref)).toThrow(expect.objectContaining({ code: 'CONTAINER_NOT_FOUND' }))
  })

  test('a beginning that two tasks have is refused', () => {
    const [first, second] = RECORDED.tasks
    const alike = {
      ...RECORDED,
      tasks: RECORDED.tasks.map((one) => (one === second ? { ...one, ID: `${first?.ID.slice(0, 20)}zzzzz` } : one)),
    }
    expect(() => find(first?.ID.slice(0, 12) ?? '', alike)).toThrow(
      expect.objectContaining({ code: 'CONTAINER_AMBIGUOUS' }),
    )
  })

  test('a service goes to another task where its first does not run, and back', () => {
    expect(find('web', changed(task('web.1').id, failed)).name).toBe('web.2')
    expect(() => find('web.1', changed(task('web.1').id, failed))).toThrow(
      expect.objectContaining({
        code: 'CONTAINER_NOT_RUNNING',
        message: 'no task of web.1 runs (failed: task: non-zero exit (1))',
      }),
    )
  })

  test('while a task is replaced its name means the one that runs', () => {
    const old = task('web.1')
    const next = RECORDED.tasks.find(({ ID }) => ID === old.id)
    const answers = changed(old.id, failed)
    const ID = `${old.id.slice(0, -1)}q`
    const both = { ...answers, tasks: [...answers.tasks, ...(next ? [{ ...next, ID }] : [])] }
    expect(find('web.1', both).id).toBe(ID)
  })

  test('of tasks that mean the same those come first whose node is there and configured', () => {
    const first = task('web.1')
    expect(find('web', RECORDED, ({ name }) => name !== 'web.1').name).toBe('web.2')
    expect(find('web', RECORDED, () => false).name).toBe('web.1')
    const nodes = RECORDED.nodes.map((node) =>
      node.ID === first.node?.id ? { ...node, Status: { State: 'down' } } : node,
    )
    expect(find('web', { ...RECORDED, nodes }).name).toBe('web.2')
  })

  test('what is no answer of a manager is a sentence', () => {
    expect(() => parseSwarm([], [], { message: 'This node is not a swarm manager.' }, '')).toThrow(
      expect.objectContaining({
        code: 'ENGINE_ERROR',
        message: 'the swarm’s manager gave an answer that makes no sense',
      }),
    )
    // A task of a service that has just been removed, or without what a task has.
    const odd = { ...RECORDED, tasks: [{ ID: 'x', NodeID: '', Status: { State: 'new' } }, ...RECORDED.tasks] }
    expect(state(odd).tasks).toHaveLength(6)
  })
})

describe('the manager', () => {
  let answers: Answers
  let asked: string[]
  let away: Error | undefined
  let clock: number
  beforeEach(() => {
    ;[answers, asked, away, clock] = [RECORDED, [], undefined, 0]
  })
  const ask = async (path: string) => {
    const [what = ''] = path.slice(1).split('?')
    asked.push(what)
    if (away) throw away
    return answers[what as keyof Answers]
  }
  const open = () => createSwarmManager(ask, () => clock)

  test('is asked once by all who wait, and again when the answer is too old', async () => {
    const manager = open()
    await Promise.all([manager.state(5_000, soon()), manager.state(0, soon()), manager.state(5_000, soon())])
    expect(asked).toEqual(['services', 'nodes', 'info', 'tasks'])
    clock = 4_000
    await manager.state(5_000, soon())
    expect(asked).toHaveLength(4)
    await manager.state(1_000, soon())
    // Which node the manager is on is known.
    expect(asked.slice(4)).toEqual(['services', 'nodes', 'tasks'])
  })

  test('who goes does not end it for the others', async () => {
    const manager = open()
    const gone = new AbortController()
    const one = manager.state(0, gone.signal)
    const other = manager.state(0, soon())
    gone.abort(new Error('gone'))
    await expect(one).rejects.toThrow('gone')
    expect((await other).tasks).toHaveLength(6)
  })

  test('that is away leaves what it said last, and is not asked by each; before that it is the error', async () => {
    const manager = open()
    away = new HatchwayError('ENGINE_UNAVAILABLE', 'the container engine is not reachable')
    await expect(manager.state(0, soon())).rejects.toThrow('not reachable')
    away = undefined
    const before = await manager.state(0, soon())
    away = new HatchwayError('ENGINE_TIMEOUT', 'it hangs')
    ;[clock, asked] = [60_000, []]
    expect(await manager.state(0, soon())).toBe(before)
    expect(await manager.state(0, soon())).toBe(before)
    expect(asked).toEqual(['services', 'nodes'])
    ;[clock, away] = [66_000, undefined]
    expect(await manager.state(0, soon())).not.toBe(before)
  })
})

describe('the engine', () => {
  let answers: Answers
  let away: Error | undefined
  /** Each node's containers, by id. */
  let nodes: Map<string, FakeNode>
  let manager: FakeNode
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    ;[answers, away] = [RECORDED, undefined]
    nodes = new Map(['node1', 'node2', 'node3'].map((name) => [name, fakeNode(name, () => answers)]))
    manager = fakeNode('node1', () => answers)
  })
  afterEach(() => {
    vi.useRealTimers()
  })
  const open = (...names: string[]) =>
    createSwarmEngine({
      ask: async (path) => {
        if (away) throw away
        return answers[path.slice(1).split('?')[0] as keyof Answers]
      },
      close() {},
      manager: manager.engine,
      nodes: new Map([...nodes].filter(([name]) => names.includes(name)).map(([name, { engine }]) => [name, engine])),
    })
  const all = ['node1', 'node2', 'node3']

  test('asks the node of the task, by the container’s id, and names it as people do', async () => {
    const engine = open(...all)
    const { id, containerId, node } = task('web.2')
    for (const ref of ['web.2', id, containerId]) {
      expect(await engine.inspect(ref, soon())).toMatchObject({ id: containerId, name: 'web.2', arch: 'x64' })
    }
    expect(nodes.get(node?.hostname ?? '')?.inspected).toEqual([containerId, containerId, containerId])
    expect(engine.lifecycle).toBeUndefined()
    // All that concerns a container goes where it is; what is no task (any more) goes nowhere.
    const copy = (id: string) => engine.copies?.copyOut(id, '/etc/passwd', 9, soon())
    expect(await copy(containerId)).toEqual(Buffer.from(node?.hostname ?? ''))
    expect(await engine.copies?.statPath?.(containerId, '/', soon())).toBe(node?.hostname)
    expect(await engine.copies?.statPath?.('f'.repeat(64), '/', soon())).toBeUndefined()
    await expect(copy('f'.repeat(64))).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
    const exec = { argv: ['true'], user: '', cwd: '', env: [] } as const
    const run = (id: string) => engine.exec(id, exec, { write: () => true }, soon())
    expect(await run(containerId)).toMatchObject({ where: node?.hostname })
    await expect((await run(containerId)).exit).rejects.toThrow(/^container web\.2 was killed$/)
    await expect(run('f'.repeat(64))).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
    const image = { repository: 'r', tag: 't', tar: Buffer.alloc(0) }
    const hold = (id: string) => engine.holders?.start({ containerId: id, user: '0:0', image, argv: ['x'] }, soon())
    expect(await hold(containerId)).toMatchObject({ firstLine: node?.hostname })
    await expect(hold('f'.repeat(64))).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
    expect(await engine.holders?.sweep(soon())).toBe(4)
    await expect(engine.inspect('--help', soon())).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
  })

  test('the manager’s own node is asked at the manager’s endpoint, where it is not configured', async () => {
    const { containerId } = task('each.node1')
    const engine = open('node2')
    expect(await engine.inspect('each', soon())).toMatchObject({ id: containerId, name: 'each.node1' })
    expect(manager.inspected).toEqual([containerId])
    expect(engine.endpoint).toBe('node1')
    await open(...all).inspect('each.node1', soon())
    expect(nodes.get('node1')?.inspected).toEqual([containerId])
    expect(manager.inspected).toHaveLength(1)
  })

  test('a node that is not configured is named, unless another task will do', async () => {
    const engine = open()
    const there = task('web.1').node?.hostname === 'node1' ? task('web.2') : task('web.1')
    expect((await engine.inspect('web', soon())).arch).toBe('x64')
    expect(manager.inspected).toHaveLength(1)
    await expect(engine.inspect(there.name, soon())).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: `${there.name} runs on ${there.node?.hostname}, whose engine is not configured`,
    })
  })

  test('a replaced task is followed: what has ended, or is gone from its node, is asked for anew', async () => {
    const engine = open(...all)
    const old = task('web.1')
    const place = nodes.get(old.node?.hostname ?? '')
    expect((await engine.inspect('web', soon())).id).toBe(old.containerId)
    const containerId = 'd'.repeat(64)
    answers = changed(old.id, (one) => ({
      ...one,
      ID: 'replacement0000000000000q',
      Status: { State: 'running', ContainerStatus: { ContainerID: containerId } },
    }))
    for (const gone of [() => place?.ended.add(old.containerId), () => place?.removed.add(old.containerId)]) {
      gone()
      vi.advanceTimersByTime(2_000)
      expect((await engine.inspect('web', soon())).id).toBe(containerId)
      expect((await engine.inspect('web.1', soon())).id).toBe(containerId)
    }
    await expect(engine.inspect(old.containerId, soon())).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
  })

  test('lists the tasks of the nodes that answer, and nothing else of theirs', async () => {
    const engine = open(...all)
    const names = async () => (await engine.list(soon())).map(({ name }) => name).sort()
    expect(await names()).toEqual(['each.node1', 'each.node2', 'each.node3', 'web.1', 'web.2', 'web.3'])
    const silent = nodes.get('node3')
    if (silent) silent.hangs = true
    const asking = names()
    await vi.advanceTimersByTimeAsync(6_000)
    expect(await asking).not.toContain('each.node3')
    expect(await asking).toContain('each.node1')
    for (const node of [...nodes.values(), manager]) node.hangs = true
    const nobody = expect(names()).rejects.toMatchObject({ code: 'ENGINE_TIMEOUT' })
    await vi.advanceTimersByTimeAsync(6_000)
    await nobody
  })

  test('a container is no task because its label says so', async () => {
    const engine = open(...all)
    const { id, name, containerId, node } = task('web.2')
    const forged = 'b'.repeat(64)
    const place = nodes.get(node?.hostname ?? '')
    place?.forged.set(forged, id)
    const found = await engine.list(soon())
    expect(found.filter((one) => one.name === name).map((one) => one.id)).toEqual([containerId])
    expect(found.map((one) => one.id)).not.toContain(forged)
    await expect(engine.inspect(forged, soon())).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
    await expect(engine.copies?.copyOut(forged, '/', 9, soon())).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
  })

  test('one that was a task is not called as the task that has another container now', async () => {
    const engine = open(...all)
    const { id, containerId, name } = task('web.2')
    await engine.list(soon())
    const next = 'd'.repeat(64)
    answers = changed(id, (one) => ({
      ...one,
      Status: { State: 'running', ContainerStatus: { ContainerID: next } },
    }))
    vi.advanceTimersByTime(6_000)
    expect(await engine.inspect(containerId, soon())).toMatchObject({ id: containerId, name: 'x' })
    expect((await engine.inspect(name, soon())).id).toBe(next)
  })

  test('where a container is the manager knows better than a node that said to have it', async () => {
    const engine = open(...all)
    const { id, node } = task('web.2')
    const { id: victim, containerId, node: other } = task('web.1')
    expect(other?.hostname).not.toBe(node?.hostname)
    // A task that has no container yet, and a node that gives it the one of another node's task, unknown so far.
    answers = {
      ...RECORDED,
      tasks: RECORDED.tasks.flatMap((one) => {
        if (one.ID === victim) return []
        return one.ID === id ? { ...one, Status: { State: 'preparing' } } : one
      }),
    }
    nodes.get(node?.hostname ?? '')?.forged.set(containerId, id)
    await engine.list(soon())
    answers = RECORDED
    vi.advanceTimersByTime(6_000)
    await engine.list(soon())
    const copied = await engine.copies?.copyOut(containerId, '/', 9, soon())
    expect(copied).toEqual(Buffer.from(other?.hostname ?? ''))
  })

  test('tells what the nodes tell, what moved, and that the manager is away, but not that a node is', async () => {
    const engine = open(...all)
    const stop = new AbortController()
    const seen: EngineEvent[] = []
    const reading = (async () => {
      for await (const event of engine.events(stop.signal)) seen.push(event)
    })()
    await vi.advanceTimersByTimeAsync(6_000)
    nodes.get('node2')?.tell({ type: 'container', action: 'die', id: 'x' })
    nodes.get('node2')?.tell({ type: 'lost', error: new HatchwayError('ENGINE_LOST', 'node2') })
    nodes.get('node1')?.tell({ type: 'reconnected' })
    await vi.advanceTimersByTimeAsync(10)
    expect(seen).toEqual([{ type: 'container', action: 'die', id: 'x' }, { type: 'reconnected' }])
    seen.length = 0
    const { id, containerId } = task('web.3')
    answers = changed(id, () => undefined)
    await vi.advanceTimersByTimeAsync(6_000)
    expect(seen).toEqual([{ type: 'container', action: 'task', id: containerId }])
    seen.length = 0
    away = new HatchwayError('ENGINE_UNAVAILABLE', 'the manager')
    await vi.advanceTimersByTimeAsync(20_000)
    away = undefined
    await vi.advanceTimersByTimeAsync(6_000)
    expect(seen).toEqual([
      { type: 'lost', error: expect.objectContaining({ message: 'the manager' }) },
      { type: 'reconnected' },
    ])
    stop.abort()
    await reading
  })
})

interface FakeNode {
  readonly engine: Engine
  readonly inspected: string[]
  readonly ended: Set<string>
  readonly removed: Set<string>
  /** Containers that somebody started there, with the label of a task. */
  readonly forged: Map<string, string>
  hangs: boolean
  tell(event: EngineEvent): void
}

/** A node with the containers that the manager's answers give it, and one that is no task. */
function fakeNode(hostname: string, answers: () => Answers): FakeNode {
  const listeners = new Set<(event: EngineEvent) => void>()
  const here = () => {
    const { nodes, tasks } = answers()
    const id = nodes.find(({ Description }) => (Description as { Hostname: string }).Hostname === hostname)?.ID
    // What the swarm has replaced is there for a while.
    return [...new Set([...RECORDED.tasks, ...tasks])].filter(({ NodeID }) => NodeID === id)
  }
  const fake: FakeNode = {
    inspected: [],
    ended: new Set(),
    removed: new Set(),
    forged: new Map(),
    hangs: false,
    tell(event) {
      for (const listener of listeners) listener(event)
    },
    engine: {
      kind: 'docker',
      endpoint: hostname,
      lifecycle: {},
      copies: { copyOut: async () => Buffer.from(hostname), statPath: async () => hostname },
      holders: { start: async () => ({ firstLine: hostname }), sweep: async () => 1 },
      exec: async () => ({
        where: hostname,
        exit: Promise.reject(
          new HatchwayError('CONTAINER_GONE', 'container web.2.0a21phdaxy21olpomug0a9o16 was killed'),
        ),
      }),
      async list(signal: AbortSignal) {
        if (fake.hangs) await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
        const row = (id: string, labels: Record<string, string>) =>
          ({ id, name: id.slice(0, 5), labels }) as unknown as ContainerSummary
        const tasks = here().map(({ ID, Status }) =>
          row(Status.ContainerStatus?.ContainerID ?? '', { 'com.docker.swarm.task.id': ID }),
        )
        const forged = [...fake.forged].map(([id, ofTask]) => row(id, { 'com.docker.swarm.task.id': ofTask }))
        return [row('e'.repeat(64), {}), ...forged, ...tasks]
      },
      async inspect(id: string) {
        fake.inspected.push(id)
        const ofTask =
          here().find(({ Status }) => Status.ContainerStatus?.ContainerID === id)?.ID ?? fake.forged.get(id)
        if (!ofTask || fake.removed.has(id)) throw new HatchwayError('CONTAINER_NOT_FOUND', `no container ${id}`)
        const labels = { 'com.docker.swarm.task.id': ofTask }
        return { id, name: 'x', labels, state: fake.ended.has(id) ? 'exited' : 'running' } as unknown as Container
      },
      async *events(signal: AbortSignal) {
        const waiting: EngineEvent[] = []
        let wake = () => {}
        const listener = (event: EngineEvent) => {
          waiting.push(event)
          wake()
        }
        listeners.add(listener)
        signal.addEventListener('abort', () => wake())
        while (!signal.aborted) {
          const next = waiting.shift()
          if (next) yield next
          else
            await new Promise<void>((resolve) => {
              wake = resolve
            })
        }
        listeners.delete(listener)
      },
      async close() {},
    } as unknown as Engine,
  }
  return fake
}
