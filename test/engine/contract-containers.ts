import { expect } from 'vitest'
import type { EngineEvent } from '../../src/engine/engine.ts'
import { until } from '../support/wait.ts'
import type { Promised } from './contract-bench.ts'

const soon = () => AbortSignal.timeout(20_000)

export function containerTests(promised: Promised): void {
  promised('names its product, version and architecture', async ({ engine, ground }) => {
    const info = await engine.info(soon())
    expect(info.product).toMatch(/^(docker|podman|containerd)$/)
    expect(info.version).toMatch(/^\d+\.\d+/)
    expect(info.arch).toBe(process.arch)
    expect(info.local).toBe(ground.local ?? true)
  })

  promised(
    'lists containers with name, image, state, status, labels, ports and mounts',
    async ({ engine, container }) => {
      const args = ['--label', 'hw.x=a,b=c', '-p', '127.0.0.1::8080/tcp', '-v', '/etc/hostname:/mnt/h:ro']
      const { id, name } = await container(...args)
      const found = (await engine.list(soon())).find((row) => row.id === id)
      expect(found).toMatchObject({ id, name, state: 'running', labels: { 'hw.x': 'a,b=c' } })
      expect(found?.image).toMatch(/hatchway-busybox/)
      expect(found?.status).toMatch(/^Up/)
      expect(Math.abs((found?.createdAt ?? 0) - Date.now() / 1000)).toBeLessThan(120)
      expect(found?.ports).toMatchObject([{ containerPort: 8080, protocol: 'tcp', hostAddress: '127.0.0.1' }])
      expect(found?.ports[0]?.hostPort).toBeGreaterThan(0)
      const mounts = [{ source: '/etc/hostname', destination: '/mnt/h', readOnly: true }]
      expect(found?.mounts).toMatchObject(mounts)
      expect(await engine.inspect(id, soon())).toMatchObject({ mounts })
    },
  )

  promised('tells of some by their ids as in the list of all, where it can', async ({ engine, id, container }) => {
    if (!engine.summaries) return expect(engine.kind).not.toBe('docker')
    const { id: other } = await container()
    const rows = async (ids: readonly string[]) => (await engine.summaries?.(ids, soon()))?.map((row) => row.id).sort()
    expect(await rows([id, 'f'.repeat(64)])).toEqual([id])
    expect(await rows([id, other])).toEqual([id, other].sort())
    const [row] = (await engine.summaries([id], soon())) ?? []
    expect(row).toEqual((await engine.list(soon())).find((one) => one.id === id))
  })

  promised('inspects by name, by full id and by id prefix', async ({ engine, id, name }) => {
    for (const ref of [name, id, id.slice(0, 12), id.slice(0, 8)]) {
      expect(await engine.inspect(ref, soon())).toMatchObject({ id, name, state: 'running' })
    }
  })

  promised('inspects user, workdir, env, labels, addresses and read-only root', async ({ engine, container }) => {
    const { id } = await container(
      ...['--user', '1000:1000', '--workdir', '/tmp', '-e', 'HW_A=b c=d', '--label', 'hw=1', '--read-only'],
    )
    const found = await engine.inspect(id, soon())
    expect(found).toMatchObject({ user: '1000:1000', workdir: '/tmp', readOnlyRootfs: true })
    expect(found.labels).toMatchObject({ hw: '1' })
    expect(found.env).toContain('HW_A=b c=d')
    expect(found.addresses.length).toBeGreaterThan(0)
    expect(Date.parse(found.startedAt)).toBeGreaterThan(0)
  })

  promised('says CONTAINER_NOT_FOUND for unknown names and for text that is no name', async ({ engine }) => {
    for (const ref of ['hw-test-none', 'f'.repeat(64), '', '../containers', '--help', 'a b', 'a/b', 'é']) {
      await expect(engine.inspect(ref, soon()), ref).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
    }
  })

  promised('a start time names one run', async ({ engine, ground, container }) => {
    const { id } = await container()
    const before = await engine.inspect(id, soon())
    await ground.control('restart', '-t', '1', id)
    const after = await engine.inspect(id, soon())
    expect(after.state).toBe('running')
    expect(after.startedAt).not.toBe(before.startedAt)
  })

  promised('tells of starts and ends as they happen', async ({ engine, ground, container }) => {
    const stop = new AbortController()
    const seen: EngineEvent[] = []
    const reading = (async () => {
      for await (const event of engine.events(stop.signal)) seen.push(event)
    })()
    // There is no sign that the stream is up, so something happens until it is heard.
    const heard = (id: string, pattern: RegExp) =>
      seen.some((event) => event.type === 'container' && event.id === id && pattern.test(event.action))
    await until(
      'the stream is up',
      async () => {
        const probe = await container()
        await new Promise((resolve) => setTimeout(resolve, 500))
        return heard(probe.id, /^start$/)
      },
      20_000,
    )
    const { id } = await container()
    await until('start is heard', () => heard(id, /^start$/), 10_000)
    await ground.control('kill', id)
    await until('the end is heard', () => heard(id, /^(die|died)$/), 10_000)
    stop.abort()
    await reading
    expect(seen.filter((event) => event.type === 'container' && event.action.startsWith('exec'))).toEqual([])
  })

  promised('a listing stops at once when it is aborted', async ({ engine }) => {
    const gone = new AbortController()
    const listing = engine.list(gone.signal)
    gone.abort(new Error('client gone'))
    await expect(listing).rejects.toThrow('client gone')
    await expect(engine.list(AbortSignal.abort(new Error('before')))).rejects.toThrow('before')
  })
}
