/** What every death leaves: nothing inside after the lease, one clear sentence at the gateway, and a next session that works. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { GuestConnection } from '../../src/guest/connection.ts'
import { docker, pauseContainer, startContainer, type TestContainer, testMark } from '../support/containers.ts'
import { sleep, until } from '../support/wait.ts'
import { type BuiltGateway, buildGateway, type StartedGateway } from './gateway-process.ts'
import { cannotHave, type PrivateEngine, startPrivateEngine } from './private-engine.ts'
import { DEV, LIMIT, openWorld, ROOT, sh, started, TTY, type World } from './world.ts'

// They wait for leases and for engines that restart, each for its own.
vi.setConfig({ maxConcurrency: 6 })

const containers: TestContainer[] = []
const folders: string[] = []
let built: BuiltGateway
beforeAll(async () => {
  built = await buildGateway()
})
afterAll(async () => {
  await built?.remove()
  await Promise.all(containers.map((container) => container.remove()))
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

async function container(...how: Parameters<typeof startContainer>): Promise<TestContainer> {
  const made = await startContainer(...how)
  containers.push(made)
  return made
}

async function stateFolder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'hw-test-state-'))
  folders.push(made)
  return made
}

/** Why it fails; undefined where it does not. */
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )

/** On the host: sees containers' processes, also those of an engine that is down. The bracket hides the asker. */
async function alive(mark: string): Promise<number> {
  const { stdout } = await execa('pgrep', ['-f', `[${mark.slice(0, 1)}]${mark.slice(1)}`], { reject: false })
  return stdout.split('\n').filter(Boolean).length
}

const session = (mark: string) => `sh -c 'sleep 300; : ${mark}' & sleep 300; : ${mark}`

/** Many killed gateways' notes, one after the other, each with an exec or a copy of a busy engine. */
const SWEEP_MS = 60_000

/** Kill gateways at moments that are evenly spread over a delivery, however long one takes here. */
async function killDelivering(moments: number, start: () => StartedGateway): Promise<void> {
  const deliver = async (): Promise<number> => {
    const gateway = start()
    await gateway.said('begin')
    const since = performance.now()
    await gateway.said('delivered')
    const time = performance.now() - since
    await gateway.kill()
    return time
  }
  // What the first one brings to the engine the others find there.
  await deliver()
  const whole = await deliver()
  for (let moment = 0; moment < moments; moment++) {
    const gateway = start()
    await gateway.said('begin')
    await sleep((whole * moment) / moments)
    await gateway.kill()
  }
}

const SETTINGS = { mode: 'require', leaseMs: 5000, graceMs: 500 } as const

describe.concurrent('a gateway killed -9', () => {
  it.each([ROOT, DEV])(
    'in the middle of a delivery by the shell leaves nothing, at once (%o)',
    async (user) => {
      const target = await container('debian')
      const settings = { ...SETTINGS, stateFolder: await stateFolder(), direct: false }
      const processes = async () => (await docker('top', target.name, '-eo', 'pid')).split('\n').length
      const before = await processes()
      await killDelivering(12, () => built.start({ container: target.id, script: 'sleep 60', settings, user }))
      await until('what it had begun to be gone', async () => (await processes()) === before)
      const find = 'ls -A / /tmp /var/tmp /dev /dev/shm /run ~ 2>/dev/null | grep hatchway'
      expect((await target.inside(find, user.exec)).stdout.toString()).toBe('')
      expect(await readdir(join(settings.stateFolder, 'guest')).catch(() => [])).toEqual([])
    },
    120_000,
  )

  it.each([false, true])('leaves no process and no file (direct path: %s)', async (direct) => {
    const target = await container('busybox')
    const mark = testMark()
    const settings = { ...SETTINGS, stateFolder: await stateFolder(), direct }
    const gateway = built.start({ container: target.id, script: session(mark), settings, user: ROOT })
    await gateway.said('up')
    await until('the session', async () => (await alive(mark)) >= 2)
    await gateway.kill()
    await until('the session to be gone', async () => (await alive(mark)) === 0)
    await until('the helper to be gone', async () => !(await docker('top', target.name)).includes('serve'))
    expect(await docker('diff', target.name)).toBe('')
  })
})

// Of its own: a gateway whose clock is ahead removes all holders that it finds, whoever's they are.
describe.skipIf(cannotHave())('a gateway killed -9, on an engine of its own', { concurrent: true }, () => {
  let engine: PrivateEngine
  beforeAll(async () => {
    engine = await startPrivateEngine(false)
  }, 60_000)
  afterAll(() => engine?.remove(), 60_000)

  // One after the other, because of that.
  it.sequential.for([
    ['copy', []],
    ['holder', ['--read-only']],
  ] as const)(
    'in the middle of a delivery by %s leaves nothing that the next start does not remove',
    { timeout: 180_000 },
    async ([, args], { expect }) => {
      const run = (image: string, ...options: string[]) =>
        engine.docker('run', '-d', '--network', 'none', ...options, image)
      // No shell.
      const [id, other] = [await run('hatchway-scratch', ...args), await run('hatchway-busybox')]
      const settings = { ...SETTINGS, stateFolder: await stateFolder(), direct: false }
      const about = { script: 'sleep 60', settings, user: ROOT, socket: engine.socket }
      await killDelivering(10, () => built.start({ ...about, container: id }))
      const isAlone = async () => !(await engine.docker('top', id)).includes('serve')
      await until('helpers to be gone', isAlone, SWEEP_MS)
      // As one that was killed between its create and its start.
      await engine.docker('create', '--label', `hatchway.holder=${id}`, 'hatchway-busybox')
      // Three minutes later: a younger holder may be a living gateway's.
      const next = built.start({ ...about, container: other, aheadMs: 180_000 })
      try {
        const isClean = async () => !(await engine.docker('diff', id)).includes('hatchway')
        await until('the files to be gone', isClean, SWEEP_MS)
        const notes = () => readdir(join(settings.stateFolder, 'guest')).catch(() => [])
        await expect.poll(notes, { timeout: SWEEP_MS }).toEqual([])
        const holders = () => engine.docker('ps', '-aq', '--filter', `label=hatchway.holder=${id}`)
        await until('holders to be gone', async () => (await holders()) === '', SWEEP_MS)
      } finally {
        await next.kill()
      }
    },
  )
})

describe.concurrent('ends', () => {
  const LEASE_MS = 6000
  let world: World
  beforeAll(async () => {
    world = await openWorld({ leaseMs: LEASE_MS, graceMs: 500 })
  })
  afterAll(() => world.close())

  it('a pause longer than the lease harms nothing', async () => {
    const target = await container('busybox')
    const guest = await world.guest(target)
    const { exec, sink } = await started(guest, 'while :; do echo tick; sleep 0.1; done')
    await until('ticks', () => sink.bytes > 0)
    await pauseContainer(target.name)
    await sleep(LEASE_MS + 1000)
    await docker('unpause', target.name)
    const before = sink.bytes
    await until('ticks again', () => sink.bytes > before)
    // The helper is looked at after a third of the lease.
    await sleep(LEASE_MS / 2)
    expect([guest.ended.aborted, await world.guest(target)]).toEqual([false, guest])
    exec.close()
  })

  it.each([
    ['stop -t 0', /was stopped|was killed/],
    ['kill', /was killed|was stopped/],
    ['rm -f', /was removed/],
    ['restart -t 0', /was restarted|was stopped/],
  ])('docker %s: the session reads that its container %s', async (command, sentence) => {
    const target = await container('busybox')
    const { exec } = await started(await world.guest(target), 'sleep 300', { tty: TTY })
    await docker(...command.split(' '), target.name)
    const error = await failure(exec.exit)
    expect(error).toMatchObject({ code: 'CONTAINER_GONE' })
    expect(String(error)).toContain(`container ${target.name} was `)
    expect(String(error)).toMatch(sentence)
  })

  it('a helper killed inside: its sessions read so, those of other helpers live, the next session works', async () => {
    const target = await container('debian')
    const root = await world.guest(target, ROOT)
    const dev = await world.guest(target, DEV)
    const mark = testMark()
    const { exec } = await started(root, session(mark))
    const other = await started(dev, 'sleep 300')
    await target.inside(`kill -9 $(pgrep -u 0 hatchway-guest)`)
    expect(await failure(exec.exit)).toMatchObject({ code: 'GUEST_FAILED', message: 'the guest helper ended' })
    expect(dev.ended.aborted).toBe(false)
    other.exec.close()
    const next = await world.guest(target, ROOT)
    expect(next).not.toBe(root)
    expect((await sh(next, 'echo again')).out).toBe('again\n')
    await target.count(mark, 'kill')
  })

  it('a helper that gets SIGTERM: its sessions read that it ended, and nobody blames its protocol', async () => {
    const target = await container('debian')
    const guest = await world.guest(target)
    const { exec } = await started(guest, 'sleep 300')
    const listener = await guest.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, () => {}, LIMIT())
    await target.inside(`kill -TERM $(pgrep hatchway-guest)`)
    expect(await failure(exec.exit)).toMatchObject({ code: 'GUEST_FAILED', message: 'the guest helper ended' })
    await listener.ended
    expect(world.log.join('\n')).not.toContain('broke the protocol')
    expect((await sh(await world.guest(target), 'echo again')).out).toBe('again\n')
  })

  it.each([false, true])('an init that sends TERM to everybody, as it is stopped (direct path: %s)', async (direct) => {
    const init = 'trap "kill -TERM -1; sleep 1; exit 0" TERM; while :; do sleep 0.1; done'
    const target = await container('busybox', { command: ['sh', '-c', init] })
    const here = await openWorld({ direct, directAfterMs: 1 })
    try {
      const guest = await here.guest(target)
      const { exec } = await started(guest, 'sleep 300', { tty: TTY })
      if (direct) await until('the direct path', () => (guest as GuestConnection).isDirect)
      const ending = failure(exec.exit)
      await docker('stop', target.name)
      expect(await ending).toMatchObject({ code: 'CONTAINER_GONE', message: `container ${target.name} was stopped` })
      expect(here.log.join('\n')).not.toContain('broke the protocol')
    } finally {
      await here.close()
    }
  })

  it('a helper that is stopped (SIGSTOP): ended, and the next session works', async () => {
    const target = await container('debian')
    const { exec } = await started(await world.guest(target), 'sleep 300')
    await target.inside(`kill -STOP $(pgrep hatchway-guest)`)
    expect(await failure(exec.exit)).toMatchObject({ message: 'the guest helper does not answer any more' })
    expect((await sh(await world.guest(target), 'echo again')).out).toBe('again\n')
  })
})

describe.skipIf(cannotHave()).each([
  ['on', true, ['SIGKILL', 'SIGTERM']],
  ['off', false, ['SIGTERM']],
] as const)('dockerd with live-restore %s', { concurrent: true }, (_word, liveRestore, signals) => {
  let engine: PrivateEngine
  let world: World
  beforeAll(async () => {
    engine = await startPrivateEngine(liveRestore)
    world = await openWorld({ leaseMs: 3000, graceMs: 500 }, 'docker', engine.socket)
  })
  afterAll(async () => {
    await world?.close()
    await engine?.remove()
  })

  it.sequential.each(signals)(
    'restarted by %s: sessions end, none is left after the lease, the next one works',
    async (signal) => {
      const id = await engine.docker('run', '-d', '--network', 'none', 'hatchway-busybox')
      const mark = testMark()
      const { exec } = await started(await world.guest({ id }), session(mark))
      await until('the session', async () => (await alive(mark)) >= 2)
      const ending = failure(exec.exit)
      await engine.kill(signal)
      expect(await ending).toMatchObject({ code: expect.stringMatching(/^(ENGINE_|CONTAINER_GONE|GUEST_FAILED)/) })
      await until('the session to be gone', async () => (await alive(mark)) === 0, 15_000)
      await engine.start()
      if (!liveRestore) await engine.docker('start', id)
      expect((await sh(await world.guest({ id }), 'echo back')).out).toBe('back\n')
    },
    120_000,
  )
})

describe.skipIf(cannotHave())('dockerd that hangs', { concurrent: true }, () => {
  let engine: PrivateEngine
  let world: World | undefined
  beforeAll(async () => {
    engine = await startPrivateEngine(false)
  }, 60_000)
  afterEach(async () => {
    engine.thaw()
    await world?.close()
  })
  afterAll(() => engine?.remove(), 60_000)

  async function typing(direct: boolean, leaseMs: number) {
    world = await openWorld({ leaseMs, graceMs: 300, direct }, 'docker', engine.socket)
    const id = await engine.docker('run', '-d', '--network', 'none', 'hatchway-busybox')
    const guest = await world.guest({ id })
    if (direct) await world.pool.explain(await world.inspect({ id }), ROOT, LIMIT())
    const mark = testMark()
    const { exec, sink } = await started(guest, `cat; : ${mark}`)
    exec.stdin.write('before ')
    await until('an echo', () => sink.text === 'before ')
    return { guest: guest as GuestConnection, mark, exec, sink }
  }

  it.sequential('a session on the direct path does not notice', async () => {
    const LEASE_MS = 3000
    const { guest, exec, sink } = await typing(true, LEASE_MS)
    expect(guest.isDirect).toBe(true)
    await engine.freeze()
    await sleep(2 * LEASE_MS)
    exec.stdin.write('meanwhile ')
    await until('an echo', () => sink.text === 'before meanwhile ')
    engine.thaw()
    await sleep(LEASE_MS)
    exec.stdin.end('after')
    expect(await exec.exit).toEqual({ code: 0 })
    expect(sink.text).toBe('before meanwhile after')
  })

  it.sequential('a session on its stream stands still, and goes on where that was shorter than the lease', async () => {
    const { exec, sink } = await typing(false, 10_000)
    await engine.freeze()
    exec.stdin.write('meanwhile ')
    // Longer than a helper may be silent without being looked at, a third of the lease.
    await sleep(4000)
    expect(sink.text).toBe('before ')
    engine.thaw()
    exec.stdin.end('after')
    expect(await exec.exit).toEqual({ code: 0 })
    expect(sink.text).toBe('before meanwhile after')
  })

  it.sequential('a session on its stream is over after the lease, inside too', async () => {
    const { mark, exec } = await typing(false, 2000)
    const ending = failure(exec.exit)
    await engine.freeze()
    await until('the session to be gone', async () => (await alive(mark)) === 0, 15_000)
    engine.thaw()
    expect(await ending).toMatchObject({ code: 'GUEST_FAILED' })
  })
})
