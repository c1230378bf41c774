/** What every death leaves: nothing inside after the lease, one clear sentence at the gateway, and a next session that works. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { GuestConnection } from '../../src/guest/connection.ts'
import { docker, pauseContainer, startContainer, type TestContainer, testMark } from '../support/containers.ts'
import { until } from '../support/wait.ts'
import { type BuiltGateway, buildGateway } from './gateway-process.ts'
import { cannotHave, type PrivateEngine, startPrivateEngine } from './private-engine.ts'
import { DEV, LIMIT, openWorld, ROOT, sh, started, TTY, type World } from './world.ts'

/** On the host: sees containers' processes, also those of an engine that is down. The bracket hides the asker. */
async function alive(mark: string): Promise<number> {
  const { stdout } = await execa('pgrep', ['-f', `[${mark.slice(0, 1)}]${mark.slice(1)}`], { reject: false })
  return stdout.split('\n').filter(Boolean).length
}

const session = (mark: string) => `sh -c 'sleep 300; : ${mark}' & sleep 300; : ${mark}`

describe('ends', () => {
  let world: World
  let container: TestContainer
  beforeAll(async () => {
    world = await openWorld({ leaseMs: 2000, graceMs: 500 })
  })
  afterAll(() => world.close())
  afterEach(() => container.remove())

  it.each([
    ['stop -t 0', /was stopped|was killed/],
    ['kill', /was killed|was stopped/],
    ['rm -f', /was removed/],
    ['restart -t 0', /was restarted|was stopped/],
  ])('docker %s: the session reads that its container %s', async (command, sentence) => {
    container = await startContainer('busybox')
    const { exec } = await started(await world.guest(container), 'sleep 300', { tty: TTY })
    await docker(...command.split(' '), container.name)
    const error = await exec.exit.catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'CONTAINER_GONE' })
    expect(String(error)).toContain(`container ${container.name} was `)
    expect(String(error)).toMatch(sentence)
  })

  it('a helper killed inside: its sessions read so, those of other helpers live, the next session works', async () => {
    container = await startContainer('debian')
    const root = await world.guest(container, ROOT)
    const dev = await world.guest(container, { exec: '1000:1000', uid: 1000, gid: 1000 })
    const mark = testMark()
    const { exec } = await started(root, session(mark))
    const other = await started(dev, 'sleep 300')
    await container.inside(`kill -9 $(pgrep -u 0 hatchway-guest)`)
    await expect(exec.exit).rejects.toMatchObject({ code: 'GUEST_FAILED', message: 'the guest helper ended' })
    expect(dev.ended.aborted).toBe(false)
    other.exec.close()
    const next = await world.guest(container, ROOT)
    expect(next).not.toBe(root)
    expect((await sh(next, 'echo again')).out).toBe('again\n')
    await container.count(mark, 'kill')
  })

  it('a helper that gets SIGTERM: its sessions read that it ended, and nobody blames its protocol', async () => {
    container = await startContainer('debian')
    const guest = await world.guest(container)
    const { exec } = await started(guest, 'sleep 300')
    const listener = await guest.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, () => {}, LIMIT())
    await container.inside(`kill -TERM $(pgrep hatchway-guest)`)
    await expect(exec.exit).rejects.toMatchObject({ code: 'GUEST_FAILED', message: 'the guest helper ended' })
    await listener.ended
    expect(world.log.join('\n')).not.toContain('broke the protocol')
    expect((await sh(await world.guest(container), 'echo again')).out).toBe('again\n')
  })

  it.each([false, true])('an init that sends TERM to everybody, as it is stopped (direct path: %s)', async (direct) => {
    const init = 'trap "kill -TERM -1; sleep 1; exit 0" TERM; while :; do sleep 0.1; done'
    container = await startContainer('busybox', { command: ['sh', '-c', init] })
    const here = await openWorld({ direct, directAfterMs: 1 })
    try {
      const { exec } = await started(await here.guest(container), 'sleep 300', { tty: TTY })
      if (direct) await sleep(1000)
      const ending = exec.exit.catch((reason: unknown) => reason)
      await docker('stop', container.name)
      expect(await ending).toMatchObject({ code: 'CONTAINER_GONE', message: `container ${container.name} was stopped` })
      expect(here.log.join('\n')).not.toContain('broke the protocol')
    } finally {
      await here.close()
    }
  })

  it('a helper that is stopped (SIGSTOP): ended, and the next session works', async () => {
    container = await startContainer('debian')
    const { exec } = await started(await world.guest(container), 'sleep 300')
    await container.inside(`kill -STOP $(pgrep hatchway-guest)`)
    await expect(exec.exit).rejects.toMatchObject({ message: 'the guest helper does not answer any more' })
    expect((await sh(await world.guest(container), 'echo again')).out).toBe('again\n')
  })

  it('a pause longer than the lease harms nothing', async () => {
    container = await startContainer('busybox')
    const guest = await world.guest(container)
    const { exec, sink } = await started(guest, 'while :; do echo tick; sleep 0.1; done')
    await until('ticks', () => sink.bytes > 0)
    await pauseContainer(container.name)
    await sleep(6000)
    await docker('unpause', container.name)
    const before = sink.bytes
    await until('ticks again', () => sink.bytes > before)
    await sleep(3000)
    expect([guest.ended.aborted, await world.guest(container)]).toEqual([false, guest])
    exec.close()
  })
})

/** Eleven killed gateways' notes, one after the other, each with an exec or a copy of a busy engine. */
const SWEEP_MS = 60_000

describe('a gateway killed -9', () => {
  let built: BuiltGateway
  let stateFolder: string
  let container: TestContainer
  beforeAll(async () => {
    built = await buildGateway()
    stateFolder = await mkdtemp(join(tmpdir(), 'hw-test-state-'))
  })
  afterAll(async () => {
    await built?.remove()
    await rm(stateFolder, { recursive: true, force: true })
  })
  afterEach(() => container.remove())

  it.each([false, true])('leaves no process and no file (direct path: %s)', async (direct) => {
    container = await startContainer('busybox')
    const mark = testMark()
    const settings = { mode: 'require', leaseMs: 5000, graceMs: 500, stateFolder, direct }
    const gateway = built.start({ container: container.id, script: session(mark), settings, user: ROOT })
    await gateway.said('up')
    await until('the session', async () => (await alive(mark)) >= 2)
    await gateway.kill()
    await until('the session to be gone', async () => (await alive(mark)) === 0)
    await until('the helper to be gone', async () => !(await docker('top', container.name)).includes('serve'))
    expect(await docker('diff', container.name)).toBe('')
  })

  it.each([ROOT, DEV])(
    'in the middle of a delivery by the shell leaves nothing, at once (%o)',
    async (user) => {
      container = await startContainer('debian')
      const settings = { mode: 'require', leaseMs: 5000, graceMs: 500, stateFolder, direct: false }
      const processes = async () => (await docker('top', container.name, '-eo', 'pid')).split('\n').length
      const before = await processes()
      for (let delay = 0; delay <= 200; delay += 10) {
        const gateway = built.start({ container: container.id, script: 'sleep 60', settings, user })
        await gateway.said('begin')
        await sleep(delay)
        await gateway.kill()
      }
      await until('what it had begun to be gone', async () => (await processes()) === before)
      const find = 'ls -A / /tmp /var/tmp /dev /dev/shm /run ~ 2>/dev/null | grep hatchway'
      expect((await container.inside(find, user.exec)).stdout.toString()).toBe('')
      expect(await readdir(join(stateFolder, 'guest')).catch(() => [])).toEqual([])
    },
    90_000,
  )

  it.each([
    ['copy', []],
    ['holder', ['--read-only']],
  ])(
    'in the middle of a delivery by %s leaves nothing that the next start does not remove',
    async (_way, args) => {
      // No shell.
      container = await startContainer('scratch', { args })
      const settings = { mode: 'require', leaseMs: 5000, graceMs: 500, stateFolder, direct: false }
      for (let delay = 0; delay <= 400; delay += 40) {
        const gateway = built.start({ container: container.id, script: 'sleep 60', settings, user: ROOT })
        await sleep(delay)
        await gateway.kill()
      }
      const isAlone = async () => !(await docker('top', container.name)).includes('serve')
      await until('helpers to be gone', isAlone, SWEEP_MS)
      const world = await openWorld({ stateFolder })
      try {
        const isClean = async () => !(await docker('diff', container.name)).includes('hatchway')
        await until('the files to be gone', isClean, SWEEP_MS)
        await until(
          'the journal to be empty',
          async () => (await readdir(join(stateFolder, 'guest')).catch(() => [])).length === 0,
          SWEEP_MS,
        )
        // As the next start two minutes later would.
        const later = Date.now() + 200_000
        vi.spyOn(Date, 'now').mockReturnValue(later)
        await world.engine.holders?.sweep(LIMIT())
        vi.restoreAllMocks()
        const holders = () => docker('ps', '-aq', '--filter', `label=hatchway.holder=${container.id}`)
        await until('holders to be gone', async () => (await holders()) === '')
      } finally {
        vi.restoreAllMocks()
        await world.close()
      }
    },
    180_000,
  )
})

describe.skipIf(cannotHave()).each([
  ['on', true, 'SIGKILL'],
  ['on', true, 'SIGTERM'],
  ['off', false, 'SIGTERM'],
] as const)('dockerd with live-restore %s', (_word, liveRestore, signal) => {
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

  it(`restarted by ${signal}: sessions end, none is left after the lease, the next one works`, async () => {
    const id = await engine.docker('run', '-d', '--network', 'none', 'hatchway-busybox')
    const mark = testMark()
    const { exec } = await started(await world.guest({ id }), session(mark))
    await until('the session', async () => (await alive(mark)) >= 2)
    const ending = exec.exit.catch((reason: unknown) => reason)
    await engine.kill(signal)
    expect(await ending).toMatchObject({ code: expect.stringMatching(/^(ENGINE_|CONTAINER_GONE|GUEST_FAILED)/) })
    await until('the session to be gone', async () => (await alive(mark)) === 0, 15_000)
    await engine.start()
    if (!liveRestore) await engine.docker('start', id)
    expect((await sh(await world.guest({ id }), 'echo back')).out).toBe('back\n')
  }, 120_000)
})

describe.skipIf(cannotHave())('dockerd that hangs', () => {
  const LEASE_MS = 1500
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

  async function typing(direct: boolean) {
    world = await openWorld({ leaseMs: LEASE_MS, graceMs: 300, direct }, 'docker', engine.socket)
    const id = await engine.docker('run', '-d', '--network', 'none', 'hatchway-busybox')
    const guest = await world.guest({ id })
    if (direct) await world.pool.explain(await world.inspect({ id }), ROOT, LIMIT())
    const mark = testMark()
    const { exec, sink } = await started(guest, `cat; : ${mark}`)
    exec.stdin.write('before ')
    await until('an echo', () => sink.text === 'before ')
    return { guest: guest as GuestConnection, mark, exec, sink }
  }

  it('a session on the direct path does not notice', async () => {
    const { guest, exec, sink } = await typing(true)
    expect(guest.isDirect).toBe(true)
    await engine.freeze()
    await sleep(3 * LEASE_MS)
    exec.stdin.write('meanwhile ')
    await until('an echo', () => sink.text === 'before meanwhile ')
    engine.thaw()
    await sleep(LEASE_MS)
    exec.stdin.end('after')
    expect(await exec.exit).toEqual({ code: 0 })
    expect(sink.text).toBe('before meanwhile after')
  })

  it('a session on its stream stands still, and goes on where that was shorter than the lease', async () => {
    const { exec, sink } = await typing(false)
    await engine.freeze()
    exec.stdin.write('meanwhile ')
    await sleep(LEASE_MS * 0.6)
    expect(sink.text).toBe('before ')
    engine.thaw()
    exec.stdin.end('after')
    expect(await exec.exit).toEqual({ code: 0 })
    expect(sink.text).toBe('before meanwhile after')
  })

  it('a session on its stream is over after the lease, inside too', async () => {
    const { mark, exec } = await typing(false)
    const ending = exec.exit.catch((reason: unknown) => reason)
    await engine.freeze()
    await until('the session to be gone', async () => (await alive(mark)) === 0, 10_000)
    engine.thaw()
    expect(await ending).toMatchObject({ code: 'GUEST_FAILED' })
  })
})
