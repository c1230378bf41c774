/** What goes wrong with a real containerd, and what only its exec can do. */
import { chmodSync, readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createContainerdEngine } from '../../src/engine/containerd/containerd.ts'
import type { Engine, EngineEvent } from '../../src/engine/engine.ts'
import { CONTAINERD_NAMESPACE, type Containerd, startContainerd, whyNoContainerd } from '../support/containerd.ts'
import { startReader } from '../support/containerd-reader.ts'
import { sleep, until } from '../support/wait.ts'
import { runIn } from './run.ts'

vi.setConfig({ testTimeout: 90_000 })

const soon = () => AbortSignal.timeout(20_000)
const why = await whyNoContainerd()

it('says that the socket is missing, and serves as soon as it is there', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hw-test-none-'))
  const engine = createContainerdEngine({ socket: join(folder, 'socket'), namespace: 'default', folder })
  await expect(engine.list(soon())).rejects.toMatchObject({
    code: 'ENGINE_UNAVAILABLE',
    message: 'the container engine is not reachable (its socket is missing)',
  })
  const stop = new AbortController()
  const seen: EngineEvent['type'][] = []
  for await (const event of engine.events(stop.signal)) {
    seen.push(event.type)
    stop.abort()
  }
  expect(seen).toEqual(['lost'])
  await engine.close()
  await rm(folder, { recursive: true })
})

describe.skipIf(why !== undefined)(`containerd (${why ?? 'real'})`, () => {
  let containerd: Containerd
  let engine: Engine
  const containers: string[] = []
  const open = (more: object = {}) => {
    const { socket, folder } = containerd
    return createContainerdEngine({ socket, folder, namespace: CONTAINERD_NAMESPACE, ...more })
  }
  const container = async (...args: string[]) => {
    const name = `hw-test-fault-${containers.length}`
    containers.push(name)
    return containerd.control('run', '-d', '--name', name, ...args, 'hatchway-busybox:latest')
  }

  const processes = async (id: string) => (await containerd.ctr('tasks', 'ps', id)).split('\n').length

  beforeAll(async () => {
    containerd = await startContainerd()
    engine = open()
  })
  afterAll(async () => {
    await engine?.close()
    await containerd?.close()
  })

  it('says that it may not open the socket', async () => {
    const forbidden = open()
    chmodSync(containerd.socket, 0o600)
    process.seteuid?.(65534)
    const refused = forbidden.info(soon())
    process.seteuid?.(0)
    await expect(refused).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: 'the container engine is not reachable (permission denied)',
    })
    await forbidden.close()
  })

  it('a namespace without containers is an empty one, and has none of another’s', async () => {
    const id = await container()
    const other = open({ namespace: 'hw-test-other' })
    expect(await other.list(soon())).toEqual([])
    await expect(other.inspect(id, soon())).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
    expect((await engine.list(soon())).map((row) => row.id)).toContain(id)
    await other.close()
  })

  it('a container without a task is one that was never started', async () => {
    const image = 'docker.io/library/hatchway-busybox:latest'
    await containerd.ctr('containers', 'create', '--label', 'a=b', image, 'hw-no-task')
    containers.push('hw-no-task')
    expect(await engine.inspect('hw-no-task', soon())).toMatchObject({
      id: 'hw-no-task',
      name: 'hw-no-task',
      state: 'created',
      startedAt: '',
      labels: { a: 'b' },
    })
    expect((await engine.list(soon())).find((row) => row.id === 'hw-no-task')).toMatchObject({ status: 'Created' })
    const ran = await runIn(engine, 'hw-no-task', ['true'])
    expect(ran.error).toMatchObject({ code: 'CONTAINER_NOT_RUNNING', message: 'container hw-no-task is stopped' })
  })

  it('inspects what the specification says, and finds by name; the beginning of a name is none', async () => {
    const id = await container('--user', '1000:1000', '--workdir', '/tmp', '-e', 'HW_A=b c=d', '--read-only')
    const name = containers.at(-1) ?? ''
    const found = await engine.inspect(name, soon())
    expect(found).toMatchObject({ id, name, user: '1000:1000', workdir: '/tmp', readOnlyRootfs: true })
    expect(found.env).toContain('HW_A=b c=d')
    expect(Math.abs(Date.parse(found.startedAt) - Date.now())).toBeLessThan(60_000)
    await expect(engine.inspect('hw-no-tas', soon())).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
    await expect(engine.inspect('hw-test-fault', soon())).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
  })

  it('runs as numbers, with the groups that are asked for and no others', async () => {
    const id = await container('--user', '54321:12345', '--group-add', '5555')
    const script = 'id -u; id -G; grep ^Groups: /proc/self/status | tr "\\t" " "'
    const groups = async (user: string) => (await runIn(engine, id, ['sh', '-c', script], { user })).text
    expect(await groups('1000:1000,2000,2001')).toBe('1000\n1000 2000 2001\nGroups: 1000 2000 2001 \n')
    expect(await groups('7:8')).toBe('7\n8\nGroups: 8 \n')
    expect(await groups('0')).toBe('0\n0\nGroups: 0 \n')
    expect(await groups('')).toBe('54321\n12345 5555\nGroups: 5555 \n')
  })

  it('signals one program and no other', async () => {
    const id = await container()
    const other = runIn(engine, id, ['sh', '-c', 'read x; echo "$x"; exit 4'], {
      stdin: null,
      async during(exec) {
        const killed = await runIn(engine, id, ['sleep', '1000'], {
          stdin: null,
          during: async (running) => {
            expect([running.signal('NOSUCH'), running.signal('TERM')]).toEqual([false, true])
          },
        })
        expect(killed.status).toEqual({ code: 143 })
        exec.stdin.end('on\n')
      },
    })
    expect([(await other).text, (await other).status]).toEqual(['on\n', { code: 4 }])
  })

  it('hangs up what was let go of, once others had their time for it', async () => {
    const id = await container()
    for (const tty of [undefined, { cols: 80, rows: 24 }]) {
      const sink = { write: () => true }
      const argv = ['sh', '-c', 'trap "echo hup >/tmp/hup; exit" HUP; while :; do sleep 0.1; done'] as const
      const exec = await engine.exec(id, { argv, user: '0:0', cwd: '/', env: [], ...(tty && { tty }) }, sink, soon())
      await sleep(500)
      exec.close()
      expect(await exec.exit).toEqual({ signal: 'HUP', coreDumped: false })
      const isHungUp = async () => (await runIn(engine, id, ['rm', '/tmp/hup'])).status
      await until('it was told', async () => JSON.stringify(await isHungUp()) === '{"code":0}', 20_000, 500)
    }
  })

  it('hangs up what still runs when the engine is closed, and leaves no pipe', async () => {
    const id = await container()
    const own = open()
    const exec = await own.exec(
      id,
      { argv: ['sleep', '1234'], user: '0:0', cwd: '/', env: [] },
      { write: () => true },
      soon(),
    )
    await own.close()
    await own.close()
    expect(await exec.exit).toEqual({ signal: 'HUP', coreDumped: false })
    const left = async () => (await runIn(engine, id, ['pgrep', '-f', 'sleep 1234'])).text
    await until('it is gone', async () => (await left()) === '', 5_000)
  })

  it('leaves no pipe and no descriptor behind', async () => {
    const id = await container()
    const descriptors = () => readdirSync('/proc/self/fd').length
    await runIn(engine, id, ['true'])
    const atRest = await processes(id)
    const before = descriptors()
    for (let round = 0; round < 5; round++) {
      await runIn(engine, id, ['sh', '-c', 'cat; exit 3'], { stdin: 'x' })
      await runIn(engine, id, ['/no/such'])
      await runIn(engine, id, ['true'], { cwd: '/no/such', tty: { cols: 1, rows: 1 } })
    }
    await until('all are closed', () => descriptors() <= before, 10_000)
    const own = readdirSync(containerd.folder)
    const pipes = own.flatMap((name) => readdirSync(join(containerd.folder, name)))
    // What is there is for the next programs, three for each of at most eight: no note of one that was.
    expect(pipes.length % 3).toBe(0)
    expect(pipes.length).toBeLessThanOrEqual(24)
    expect(await processes(id)).toBe(atRest)
  })

  it('starts a hundred programs in one container, a few at a time', async () => {
    const id = await container()
    const codes = Array.from({ length: 100 }, (_, index) => index)
    const ran = await Promise.all(
      codes.map((code) => runIn(engine, id, ['sh', '-c', `exit ${code}`], { limit: 80_000 })),
    )
    expect(ran.map(({ status }) => status)).toEqual(codes.map((code) => ({ code })))
  })

  it('a hung containerd fails the calls and not the programs', async () => {
    const id = await container()
    const impatient = open({ callDeadline: 1_500, startDeadline: 3_000 })
    const script = 'echo ready; while read line; do echo "got $line"; done; exit 6'
    const ran = runIn(impatient, id, ['sh', '-c', script], {
      stdin: null,
      limit: 60_000,
      async during(exec, { out }) {
        await until('the program runs', () => out().includes('ready'))
        process.kill(containerd.pid, 'SIGSTOP')
        try {
          await expect(impatient.list(soon())).rejects.toMatchObject({ code: 'ENGINE_TIMEOUT' })
          expect((await runIn(impatient, id, ['true'])).error?.code).toBe('ENGINE_TIMEOUT')
          exec.stdin.write('one\n')
          await until('it answers all the same', () => out().includes('got one'))
        } finally {
          process.kill(containerd.pid, 'SIGCONT')
        }
        await impatient.info(soon())
        exec.stdin.end('two\n')
      },
    })
    expect([(await ran).text, (await ran).status]).toEqual(['ready\ngot one\ngot two\n', { code: 6 }])
    await impatient.close()
  })

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    it(`a program goes on through a restart of containerd, with its output and its true exit code: ${signal}`, async () => {
      const id = await container()
      const stop = new AbortController()
      const seen: EngineEvent['type'][] = []
      const watching = (async () => {
        for await (const { type } of engine.events(stop.signal)) if (type !== 'container') seen.push(type)
      })()
      const script = 'i=0; while [ $i -lt 60 ]; do echo $i; i=$((i+1)); sleep 0.1; done; read x; echo "<$x>"; exit 77'
      const ran = await runIn(engine, id, ['sh', '-c', script], {
        stdin: null,
        limit: 60_000,
        async during(exec, { out }) {
          await until('the program runs', () => out().includes('5\n'))
          await containerd.stop(signal)
          await until('its output comes without containerd', () => out().includes('20\n'))
          await containerd.start()
          await until('all of it comes', () => out().includes('59\n'))
          exec.stdin.end('on\n')
        },
      })
      const lines = Array.from({ length: 60 }, (_, index) => `${index}\n`)
      expect([ran.text, ran.status, ran.error]).toEqual([`${lines.join('')}<on>\n`, { code: 77 }, undefined])
      expect((await runIn(engine, id, ['echo', 'again'])).text).toBe('again\n')
      await until('the events are back', () => seen.includes('reconnected'))
      stop.abort()
      await watching
      expect(seen.filter((type) => type === 'reconnected')).toHaveLength(1)
    })
  }

  it('a program that ends while containerd is away has its true exit code when it is back', async () => {
    const id = await container()
    const ran = await runIn(engine, id, ['sh', '-c', 'echo ready; read x; exit 9'], {
      stdin: null,
      limit: 60_000,
      async during(exec, { out }) {
        await until('the program runs', () => out().includes('ready'))
        await containerd.stop('SIGKILL')
        exec.stdin.write('x\n')
        await sleep(500)
        await containerd.start()
      },
    })
    expect([ran.status, ran.error]).toEqual([{ code: 9 }, undefined])
  })

  it('what a killed gateway leaves is hung up by the next one, and its pipes are removed', async () => {
    const id = await container()
    const { socket, folder } = containerd
    const atRest = await processes(id)
    const reader = await startReader({ socket, folder, namespace: CONTAINERD_NAMESPACE, id })
    await reader.kill()
    const stale = readdirSync(folder).find((name) => name.startsWith(`containerd-${reader.pid}-`))
    expect(stale).toBeDefined()
    const next = open()
    expect((await runIn(next, id, ['echo', 'here'])).text).toBe('here\n')
    expect(readdirSync(folder)).not.toContain(stale)
    await next.close()
    await reader.remove()
    await until('its program is gone', async () => (await processes(id)) === atRest)
  })
})
