/** What an engine that may start, stop and make containers promises. */
import { expect } from 'vitest'
import type { ContainerSpec, Engine } from '../../src/engine/engine.ts'
import { testName } from '../support/containers.ts'
import { until } from '../support/wait.ts'
import type { Promised } from './contract-bench.ts'
import { runIn } from './run.ts'

const soon = () => AbortSignal.timeout(30_000)
/** Bit 14 of the mask of caught signals is SIGTERM, which is 15. */
const HANDLES_TERM = ['grep', '-q', '^SigCgt:.*[4-7c-f]...$', '/proc/1/status'] as const

export function lifecycleTests(promised: Promised): void {
  promised('starts a stopped container, and one that runs already', async ({ engine, ground, container }) => {
    const { id } = await container()
    await ground.control('kill', id)
    expect(await engine.inspect(id, soon())).toMatchObject({ state: 'exited', exitCode: 137 })
    await lifecycle(engine).start(id, soon())
    expect((await engine.inspect(id, soon())).state).toBe('running')
    await lifecycle(engine).start(id, soon())
  })

  promised('stops a container, by its signal', async ({ engine, container }) => {
    const { id } = await container()
    // Process 1 gets no signal that it has no handler for, and a shell that has just started has none yet.
    await until('process 1 handles SIGTERM', async () => {
      const { status } = await runIn(engine, id, HANDLES_TERM)
      return status !== undefined && 'code' in status && status.code === 0
    })
    await lifecycle(engine).stop(id, 10, soon())
    expect(await engine.inspect(id, soon())).toMatchObject({ state: 'exited', exitCode: 0 })
    await lifecycle(engine).stop(id, 10, soon())
  })

  promised('tells whether somebody else runs a program inside', async ({ engine, ground, container }) => {
    const { id } = await container()
    const { othersInside, anyInside } = lifecycle(engine)
    const inside = () => othersInside(id, soon())
    expect([await inside(), await anyInside(id, soon())]).toEqual([false, false])
    let ours: boolean[] = []
    await runIn(engine, id, ['cat'], {
      stdin: null,
      async during(exec) {
        ours = [await inside(), await anyInside(id, soon())]
        const theirs = ground.control('exec', id, 'sh', '-c', 'until [ -e /tmp/over ]; do sleep 0.1; done')
        await until('their program is seen', inside)
        await ground.control('exec', id, 'touch', '/tmp/over')
        await theirs
        await until('it is seen to be over', async () => !(await inside()))
        exec.stdin.end()
      },
    })
    expect(ours).toEqual([false, true])
    await until('nobody is inside', async () => !(await anyInside(id, soon())))
    await expect(othersInside('f'.repeat(64), soon())).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
  })

  promised('unpauses a paused container', async ({ engine, ground, container }) => {
    const { id } = await container()
    await ground.control('pause', id)
    await lifecycle(engine).unpause(id, soon())
    expect((await engine.inspect(id, soon())).state).toBe('running')
  })

  promised('a start of what is not there, or cannot start, is refused', async ({ engine }) => {
    const { start, create, remove } = lifecycle(engine)
    await expect(start('f'.repeat(64), soon())).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
    const id = await create(spec({ argv: ['/no/such/program'] }), soon())
    try {
      await expect(start(id, soon())).rejects.toMatchObject({ code: 'ENGINE_ERROR' })
    } finally {
      await remove(id, soon())
    }
  })

  promised('tells the exit code and the last lines of one that ended at once', async ({ engine }) => {
    const { create, start, logs, remove } = lifecycle(engine)
    const id = await create(spec({ argv: ['sh', '-c', 'echo a; echo oh no >&2; sleep 0.3; echo b; exit 7'] }), soon())
    const last = async (lines: number) => (await logs(id, lines, soon())).split(/\r?\n/).filter(Boolean)
    try {
      await start(id, soon())
      await until('it ended', async () => (await engine.inspect(id, soon())).state === 'exited')
      expect((await engine.inspect(id, soon())).exitCode).toBe(7)
      await until('the log is there', async () => (await last(9)).length === 3)
      // Whatever came last: an engine does not know.
      expect(await last(9)).toEqual(['a', 'b', 'oh no'])
      expect(await last(1)).toEqual(['b'])
    } finally {
      await remove(id, soon())
    }
  })

  promised('makes a container with all that is asked for', async ({ engine, ground }) => {
    const { create, start, remove } = lifecycle(engine)
    const asked = spec({
      argv: ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 1000 & wait $!; done', 'x', 'a b=c"d'],
      user: '1000:1000',
      workdir: '/mnt/data',
      env: ['HW_A=b c="d"', 'HW_EMPTY='],
      labels: { 'hw.label': 'a=b,"c"' },
      mounts: [
        { type: 'bind', source: '/etc', target: '/mnt/host', readOnly: true },
        { type: 'tmpfs', target: '/mnt/data', readOnly: false },
      ],
      network: 'none',
      memory: 64 * 1024 * 1024,
      cpus: 0.5,
      pids: 50,
    })
    const id = await create(asked, soon())
    try {
      expect(await engine.inspect(asked.name, soon())).toMatchObject({ id, name: asked.name, state: 'created' })
      await start(id, soon())
      expect(await engine.inspect(id, soon())).toMatchObject({
        state: 'running',
        user: '1000:1000',
        workdir: '/mnt/data',
        labels: { 'hw.label': 'a=b,"c"' },
        env: expect.arrayContaining(['HW_A=b c="d"', 'HW_EMPTY=']),
      })
      const ran = await runIn(engine, id, [
        'sh',
        '-c',
        'touch /mnt/host/x || echo read-only; stat -f -c %T /mnt/data; ls /sys/class/net; tr "\\0" "|" </proc/1/cmdline',
      ])
      expect(ran.text).toContain('read-only\ntmpfs\nlo\n')
      expect(ran.text).toContain('|x|a b=c"d|')
      const limits = await ground.control(
        ...['inspect', '-f', '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}', id],
      )
      expect(limits).toBe(`${64 * 1024 * 1024} 500000000 50`)
    } finally {
      await remove(id, soon())
    }
  })

  promised('an init as process 1, where it is asked for', async ({ engine }) => {
    const { create, start, remove } = lifecycle(engine)
    const id = await create(spec({ init: true }), soon())
    try {
      await start(id, soon())
      expect((await runIn(engine, id, ['sh', '-c', 'tr "\\0" " " </proc/1/cmdline'])).text).toMatch(/init/)
    } finally {
      await remove(id, soon())
    }
  })

  promised('an image that is not there is said to be so', async ({ engine }) => {
    await expect(lifecycle(engine).create(spec({ image: 'hatchway-none:missing' }), soon())).rejects.toMatchObject({
      code: 'IMAGE_UNAVAILABLE',
      message: 'the engine has no image hatchway-none:missing',
    })
  })

  promised('a registry that cannot be reached is a sentence with its reason', async ({ engine }) => {
    // Port 1 of loopback: refused at once, whatever the network is.
    const image = '127.0.0.1:1/none:latest'
    const pulling = lifecycle(engine).pull(image, () => {}, soon())
    await expect(pulling).rejects.toMatchObject({ code: 'IMAGE_UNAVAILABLE' })
    await expect(pulling).rejects.toThrow(/has no image 127\.0\.0\.1:1\/none:latest and cannot pull it: .*refused/)
  })

  promised('removes a running container by name, and one that is gone', async ({ engine }) => {
    const { create, start, remove } = lifecycle(engine)
    const asked = spec({})
    const id = await create(asked, soon())
    await start(id, soon())
    await Promise.all([remove(asked.name, soon()), remove(id, soon())])
    await expect(engine.inspect(id, soon())).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
    await remove(id, soon())
  })
}

function lifecycle(engine: Engine) {
  const found = engine.lifecycle
  if (!found) throw new Error('this engine has no lifecycle')
  return found
}

function spec(asked: Partial<ContainerSpec>): ContainerSpec {
  return {
    name: testName('made'),
    image: 'hatchway-busybox:latest',
    env: [],
    labels: {},
    mounts: [],
    init: false,
    ...asked,
  }
}
