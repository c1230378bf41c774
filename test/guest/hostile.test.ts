/** A container whose process poses as the helper: it is ended with a log line, costs no memory, and harms nobody else. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Guest, GuestRefusal } from '../../src/guest/guest.ts'
import type { GuestSettings } from '../../src/guest/settings.ts'
import { docker, startContainer, type TestContainer } from '../support/containers.ts'
import { until } from '../support/wait.ts'
import { Sink } from './fake-helper.ts'
import { LIMIT, openWorld, ROOT, sh, started, type World } from './world.ts'

const IMPOSTOR = new URL('impostor.py', import.meta.url).pathname
const MIB = 1024 * 1024

let container: TestContainer
let neighbour: TestContainer
let neighbours: World
let honest: Guest

beforeAll(async () => {
  ;[container, neighbour] = await Promise.all([startContainer('debian'), startContainer('busybox')])
  await docker('cp', IMPOSTOR, `${container.name}:/opt/impostor.py`)
  await container.inside('chmod 755 /opt/impostor.py')
  neighbours = await openWorld()
  honest = await neighbours.guest(neighbour)
})
afterAll(async () => {
  await neighbours.close()
  await Promise.all([container.remove(), neighbour.remove()])
})

/** A gateway that takes the impostor for the operator's mount; where it fails at the door the real helper follows. */
async function meet(
  how: string,
  use: (world: World) => Promise<void>,
  settings: Partial<GuestSettings> = {},
): Promise<string[]> {
  const path = `/opt/impostor-${how}`
  await container.inside(`cp /opt/impostor.py ${path}`)
  const world = await openWorld({ mountedAt: path, mode: 'auto', leaseMs: 6000, graceMs: 300, ...settings })
  globalThis.gc?.()
  const before = process.memoryUsage().rss
  let peak = before
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss)
  }, 20)
  try {
    await use(world)
    // Others were not even slowed down much.
    const begin = performance.now()
    expect((await sh(honest, 'echo here')).out).toBe('here\n')
    expect(performance.now() - begin).toBeLessThan(2000)
    expect(peak - before).toBeLessThan(64 * MIB)
    return world.log
  } finally {
    clearInterval(watch)
    await world.close()
    await until('the impostor to be gone', async () => (await container.count(path, 'kill')) === 0)
  }
}

describe('before HELLO', () => {
  it.each(['noise', 'text', 'mute'])(
    '%s: refused, the next way is taken',
    async (how) => {
      const next = async (world: World) => {
        const guest = await world.pool.acquire(await world.inspect(container), ROOT, LIMIT())
        expect((await sh(guest!, 'echo genuine')).out).toBe('genuine\n')
        const { way, failed } = await world.pool.explain(await world.inspect(container), ROOT, LIMIT())
        expect([way, failed[0]?.way]).toEqual(['shell', 'mount'])
      }
      await meet(how, next, { helloMs: 6000 })
    },
    60_000,
  )

  it('liar, of another uid: refused altogether, for every way in would be as that one', async () => {
    await meet('liar', async (world) => {
      const asked = world.pool.acquire(await world.inspect(container), ROOT, LIMIT())
      await expect(asked).rejects.toMatchObject({ code: 'USER_CHANGED' })
    })
  }, 60_000)
})

describe('after HELLO', () => {
  it.each([
    ['wrong-channel', /broke the protocol.*is not open/],
    ['oversized', /broke the protocol.*16777215 bytes/],
    ['credit', /broke the protocol.*credit/],
    ['accepts', /broke the protocol.*ACCEPT of no listener/],
    ['pongs', /broke the protocol.*PONG/],
    ['exits-twice', /broke the protocol.*EXIT twice/],
  ])('%s: ended with a log line', async (how, line) => {
    const log = await meet(how, async (world) => {
      const guest = await world.guest(container)
      const error = await started(guest, 'ignored').then(
        ({ exec }) => exec.exit.catch((reason: unknown) => reason),
        (reason: unknown) => reason,
      )
      expect(error).toMatchObject({ code: 'GUEST_FAILED' })
      expect(guest.ended.aborted).toBe(true)
    })
    expect(log.filter((entry) => line.test(entry))).toHaveLength(1)
  })

  it('chatter before INIT: refused at the door, or ended as soon as it is through', async () => {
    const log = await meet('chatter', async (world) => {
      const ran = await world
        .guest(container)
        .then((guest) => sh(guest, 'echo genuine'))
        .catch((reason: unknown) => reason)
      if (ran instanceof Error) expect(ran).toMatchObject({ code: 'GUEST_FAILED' })
      else expect(ran).toMatchObject({ out: 'genuine\n' })
    })
    expect(log.join('\n')).toMatch(/broke the protocol.*frame type 2|mount.*frame type 2/)
  })

  it.each(['deaf', 'silent', 'screamer'])('%s: ended when its answers stay away', async (how) => {
    await meet(how, async (world) => {
      const guest = await world.guest(container)
      const error = await started(guest, 'ignored').then(
        ({ exec }) => exec.exit.catch((reason: unknown) => reason),
        (reason: unknown) => reason,
      )
      expect(error).toMatchObject({ message: 'the guest helper does not answer any more' })
    })
  })

  it.each(['flood', 'tiny-flood'])('%s: ended as soon as it goes beyond what its reader takes', async (how) => {
    const log = await meet(how, async (world) => {
      const { exec, sink } = await started(await world.guest(container), 'ignored')
      sink.open = false
      const stalledAt = sink.bytes
      await expect(exec.exit).rejects.toMatchObject({ code: 'GUEST_FAILED' })
      expect(sink.bytes - stalledAt).toBeLessThanOrEqual(2 * MIB)
    })
    expect(log.filter((entry) => /broke the protocol.*beyond the credit/.test(entry))).toHaveLength(1)
  })

  it.each(['half-frame', 'swallows', 'opens-nothing'])(
    '%s: only its own session waits, and can be given up',
    async (how) => {
      await meet(how, async (world) => {
        const guest = await world.guest(container)
        const abort = new AbortController()
        const sink = { write: () => true }
        const spec = { program: 'x', argv: ['x'], env: [], cwd: '', cwdWarning: '', killTree: false }
        setTimeout(() => abort.abort(new Error('client gone')), 300)
        const exec = await guest.spawn(spec, sink, abort.signal).catch((reason: unknown) => reason)
        if (exec instanceof Error) expect(exec.message).toBe('client gone')
        else (exec as { close(): void }).close()
      })
    },
  )
})

describe('after SWITCH, asked for an SFTP server', () => {
  async function direct(world: World): Promise<Guest> {
    const guest = await world.guest(container)
    const { dataPath } = await world.pool.explain(await world.inspect(container), ROOT, LIMIT())
    expect(dataPath).toMatchObject({ direct: true })
    return guest
  }

  it('line-unseen: says that it has a line of its own and shows none: that one is refused in time, and no more', async () => {
    await meet(
      'line-unseen',
      async (world) => {
        const guest = await direct(world)
        const begin = performance.now()
        const asked = guest.sftp({ directory: '/', readOnly: false }, new Sink(), LIMIT())
        await expect(asked).rejects.toBeInstanceOf(GuestRefusal)
        expect(performance.now() - begin).toBeLessThan(7000)
        expect(guest.ended.aborted).toBe(false)
      },
      { direct: true },
    )
  }, 60_000)

  it('line-flood: sends without end what nobody takes: it is not read', async () => {
    await meet(
      'line-flood',
      async (world) => {
        const guest = await direct(world)
        const sink = new Sink()
        sink.open = false
        const exec = await guest.sftp({ directory: '/', readOnly: false }, sink, LIMIT())
        await until('its first bytes', () => sink.bytes > 0)
        const took = sink.bytes
        expect(took).toBeLessThanOrEqual(MIB)
        await sleep(500)
        expect(sink.bytes).toBe(took)
        exec.close()
        await exec.exit
      },
      { direct: true },
    )
  }, 60_000)
})
