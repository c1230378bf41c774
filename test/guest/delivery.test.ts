/** Every row of the delivery matrix with a real container: the helper gets in, works, and leaves nothing behind. */
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { HatchwayError } from '../../src/errors.ts'
import { openInstance } from '../../src/instance.ts'
import { docker, startContainer, type TestContainer, type TestImage, testName } from '../support/containers.ts'
import { until } from '../support/wait.ts'
import { DEV, LIMIT, openWorld, ROOT, run, sh, spec, type World } from './world.ts'

const HELPER = new URL(`../../guest/bin/hatchway-guest-${process.arch}`, import.meta.url).pathname
const HARDENED = ['--cap-drop', 'ALL', '--security-opt', 'no-new-privileges']

interface Row {
  readonly image: TestImage
  readonly args?: readonly string[]
  readonly user?: typeof ROOT
  readonly way: 'copy' | 'holder'
}

const ROWS: Readonly<Record<string, Row>> = {
  'root in Debian': { image: 'debian', way: 'copy' },
  'root in busybox': { image: 'busybox', way: 'copy' },
  'uid 1000': { image: 'debian', user: DEV, way: 'copy' },
  'a uid that no passwd knows': { image: 'debian', user: { exec: '4242:4242', uid: 4242, gid: 4242 }, way: 'copy' },
  '--tmpfs /tmp': { image: 'busybox', args: ['--tmpfs', '/tmp'], way: 'copy' },
  '--read-only': { image: 'busybox', args: ['--read-only'], way: 'holder' },
  '--read-only as uid 1000': { image: 'busybox', args: ['--read-only'], user: DEV, way: 'holder' },
  '--read-only --tmpfs /tmp': { image: 'busybox', args: ['--read-only', '--tmpfs', '/tmp'], way: 'holder' },
  'scratch, no shell': { image: 'scratch', way: 'copy' },
  'scratch, read-only, uid 1000, hardened': {
    image: 'scratch',
    args: ['--read-only', '--user', '1000:1000', ...HARDENED],
    user: DEV,
    way: 'holder',
  },
  'cap-drop ALL and no-new-privileges': { image: 'debian', args: HARDENED, user: DEV, way: 'copy' },
  'the same, read-only': { image: 'debian', args: ['--read-only', ...HARDENED], user: DEV, way: 'holder' },
  '6 MiB of memory': { image: 'busybox', args: ['-m', '6m'], way: 'copy' },
  'a pids limit of 12': { image: 'busybox', args: ['--pids-limit', '12'], way: 'copy' },
  'no network': { image: 'busybox', args: ['--network', 'none'], way: 'copy' },
}

async function holdersOf(container: TestContainer): Promise<string> {
  return docker('ps', '-aq', '--filter', `label=hatchway.holder=${container.id}`)
}

async function helpers(container: TestContainer): Promise<number> {
  const rows = await docker('top', container.name, '-eo', 'pid,args')
  return rows.split('\n').filter((row) => / serve$/.test(row)).length
}

/** Paths that the container's own layer has got, as the engine tells: works without a shell. */
async function left(container: TestContainer): Promise<string[]> {
  const diff = await docker('diff', container.name)
  return diff.split('\n').filter((line) => line.includes('hatchway'))
}

describe.each(['docker', 'cli'] as const)('delivery over the %s engine', (kind) => {
  let world: World
  let container: TestContainer | undefined
  beforeAll(async () => {
    world = await openWorld({}, kind)
  })
  afterAll(() => world.close())
  afterEach(() => container?.remove())

  for (const [what, row] of Object.entries(ROWS)) {
    it(`${what}: by ${row.way}, and nothing is left behind`, async () => {
      container = await startContainer(row.image, { args: row.args ?? [] })
      const guest = await world.guest(container, row.user)
      const { way, failed } = await world.pool.explain(await world.inspect(container), row.user ?? ROOT, LIMIT())
      expect({ way, failed }).toMatchObject({ way: row.way })
      if (row.image === 'scratch') {
        await expect(run(guest, spec(['/nosuch']))).rejects.toMatchObject({ stage: 'exec', errno: 'ENOENT' })
      } else {
        const { status, out } = await sh(guest, 'id -u; : </dev/tty && tty; exit 3', {
          tty: { cols: 80, rows: 24, width: 0, height: 0, modes: Buffer.from([0]) },
        })
        expect([status, out]).toEqual([{ code: 3 }, `${row.user?.uid ?? 0}\r\n/dev/pts/0\r\n`])
      }
      const target = container
      await until('the helper’s file to be gone', async () => (await left(target)).length === 0, 15_000)
      await until('the holder to be gone', async () => (await holdersOf(target)) === '', 15_000)
    })
  }
})

describe('delivery', () => {
  let world: World
  const containers: TestContainer[] = []
  afterEach(async () => {
    await world.close()
    await Promise.all(containers.splice(0).map((container) => container.remove()))
  })
  async function container(image: TestImage, args: readonly string[] = []): Promise<TestContainer> {
    const made = await startContainer(image, { args })
    containers.push(made)
    return made
  }

  it('takes the operator’s mount where there is one', async () => {
    const mounted = '/opt/hatchway-guest'
    world = await openWorld({ mountedAt: mounted })
    const target = await container('scratch', ['--read-only', '-v', `${HELPER}:${mounted}:ro`])
    await world.guest(target)
    expect(await world.pool.explain(await world.inspect(target), ROOT, LIMIT())).toMatchObject({
      way: 'mount',
      failed: [],
    })
  })

  it('goes on to the next way where the operator’s mount is missing', async () => {
    world = await openWorld({ mountedAt: '/opt/hatchway-guest' })
    const target = await container('busybox')
    await world.guest(target)
    const { way, failed } = await world.pool.explain(await world.inspect(target), ROOT, LIMIT())
    expect([way, failed.map((one) => one.way)]).toEqual(['copy', ['mount']])
  })

  it('goes on where the holder has another gid than the program (ptrace’s access check)', async () => {
    world = await openWorld({ mode: 'auto' })
    const target = await container('scratch', ['--read-only'])
    const user = { exec: '1000:1000', uid: 1000, gid: 0 }
    expect(await world.pool.acquire(await world.inspect(target), user, LIMIT())).toBeUndefined()
    const { way, failed } = await world.pool.explain(await world.inspect(target), user, LIMIT())
    expect([way, failed.map((one) => one.way)]).toEqual([undefined, ['mount', 'copy', 'holder', 'shell']])
    expect(await holdersOf(target)).toBe('')
  })

  it('with `require` tells that there is none; with `off` never tries', async () => {
    world = await openWorld({ mode: 'require' })
    const target = await container('scratch', ['--read-only'])
    const user = { exec: '1000:1000', uid: 1000, gid: 0 }
    const found = await world.inspect(target)
    await expect(world.pool.acquire(found, user, LIMIT())).rejects.toMatchObject({ code: 'GUEST_FAILED' })
    const off = await openWorld({ mode: 'off' })
    expect(await off.pool.acquire(found, ROOT, LIMIT())).toBeUndefined()
    await off.close()
    expect(await holdersOf(target)).toBe('')
  })

  it('shares one delivery among concurrent sessions and one helper among later ones', async () => {
    world = await openWorld()
    const target = await container('busybox')
    const guests = await Promise.all(Array.from({ length: 8 }, () => world.guest(target)))
    guests.push(await world.guest(target))
    expect(new Set(guests).size).toBe(1)
    expect(world.log.filter((line) => line.includes('delivered'))).toHaveLength(1)
    expect(await helpers(target)).toBe(1)
  })

  it('keeps helpers of two users apart', async () => {
    world = await openWorld()
    const target = await container('debian')
    const [root, dev] = await Promise.all([world.guest(target, ROOT), world.guest(target, DEV)])
    expect([root.identity.uid, dev.identity.uid]).toEqual([0, 1000])
  })

  it('sends an idle helper away, and delivers anew for the next session', async () => {
    world = await openWorld({ idleMs: 300, graceMs: 300 })
    const target = await container('busybox')
    const first = await world.guest(target)
    await until('the helper to leave', async () => (await helpers(target)) === 0)
    const second = await world.guest(target)
    expect(second).not.toBe(first)
    expect((await sh(second, 'echo on')).out).toBe('on\n')
  })

  it('keeps a helper as long as a session lives, however long it is silent', async () => {
    world = await openWorld({ idleMs: 200 })
    const target = await container('busybox')
    const guest = await world.guest(target)
    expect((await sh(guest, 'sleep 1; echo alive')).out).toBe('alive\n')
    expect(guest.ended.aborted).toBe(false)
  })

  it('delivers anew after a restart of the container', async () => {
    world = await openWorld()
    const target = await container('busybox')
    const first = await world.guest(target)
    await docker('restart', '-t', '0', target.name)
    await until('the helper to be gone', () => first.ended.aborted)
    expect((await sh(await world.guest(target), 'echo back')).out).toBe('back\n')
  })

  it.each([
    ['a writable /tmp', 'debian', [], DEV],
    ['/dev, where all else is read-only', 'busybox', ['--read-only', '--tmpfs', '/tmp'], ROOT],
  ] as const)('takes the shell where only exec is allowed: %s', async (_what, image, args, user) => {
    const refused = () => Promise.reject(new HatchwayError('ENGINE_ERROR', 'forbidden by an authorization plugin'))
    world = await openWorld({}, 'docker', undefined, () => ({ holders: undefined, copyIn: refused }))
    const target = await container(image, args)
    const guest = await world.guest(target, user)
    expect((await sh(guest, 'id -u')).out).toBe(`${user.uid}\n`)
    const { way } = await world.pool.explain(await world.inspect(target), user, LIMIT())
    expect(way).toBe('shell')
    const find = 'ls -A / /tmp /var/tmp /dev /dev/shm 2>/dev/null | grep hatchway'
    await until('the file to be gone', async () => (await target.inside(find)).code === 1)
    expect((await sh(guest, 'echo on')).out).toBe('on\n')
  })

  it('tells why nothing works where only exec is allowed and there is no shell', async () => {
    const refused = () => Promise.reject(new HatchwayError('ENGINE_ERROR', 'forbidden by an authorization plugin'))
    world = await openWorld({ mode: 'auto' }, 'docker', undefined, () => ({ holders: undefined, copyIn: refused }))
    const target = await container('scratch')
    const found = await world.inspect(target)
    expect(await world.pool.acquire(found, ROOT, LIMIT())).toBeUndefined()
    const { failed } = await world.pool.explain(found, ROOT, LIMIT())
    expect(failed.map(({ way, reason }) => `${way}: ${reason}`).join('\n')).toMatch(
      /copy: forbidden.*\nholder: this engine cannot.*\nshell: .*sh: command not found/s,
    )
  })

  it('removes at start what a killed gateway had noted', async () => {
    const early = await openWorld()
    const [killed, living, ours] = await Promise.all([1, 2, 3].map(() => openInstance(early.stateFolder)))
    await killed!.close()
    const target = await container('debian')
    const name = `.hatchway-guest-${'0'.repeat(32)}`
    await docker('cp', HELPER, `${target.name}:/${name}`)
    const journal = join(early.stateFolder, 'guest')
    await early.guest(target)
    // One of a gateway that lives, and is in the middle of it, and one of a gateway that does not.
    const spared = `put-${living!.id}-${'1'.repeat(32)}`
    const dead = `put-${killed!.id}-${'2'.repeat(32)}`
    const other = `.hatchway-guest-${'1'.repeat(32)}`
    await docker('cp', HELPER, `${target.name}:/${other}`)
    await writeFile(join(journal, spared), `${target.id} /${other}\n`)
    await writeFile(join(journal, dead), `${target.id} /${name}\n`)
    await writeFile(join(journal, `put-${'0'.repeat(32)}`), `${target.id} /${name}\n`)
    world = await openWorld({ stateFolder: early.stateFolder, instance: ours! })
    await until('the file to go', async () => (await target.inside(`test -e /${name}`)).code === 1)
    await until('their notes to go', async () => (await readdir(journal)).join() === spared)
    expect((await target.inside(`test -e /${other}`)).code).toBe(0)
    await Promise.all([living!.close(), ours!.close()])
    await early.close()
  })

  it('sweeps holders that a killed gateway created and never started', async () => {
    world = await openWorld()
    const target = await container('busybox', ['--read-only'])
    await world.guest(target)
    const name = testName('holder')
    await docker('create', '--name', name, '--label', `hatchway.holder=${target.id}`, 'hatchway-busybox')
    expect(await world.engine.holders?.sweep(LIMIT())).toBe(0)
    await docker('rm', '-f', name)
  })
})
