/** Every row of the delivery matrix with a real container: the helper gets in, works, and leaves nothing behind. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, vi } from 'vitest'
import { HatchwayError } from '../../src/base/errors.ts'
import { openInstance } from '../../src/base/instance.ts'
import { docker, type TestContainer, type TestImage, testName } from '../support/containers.ts'
import { until } from '../support/wait.ts'
import { DEV, itself as it, LIMIT, openWorld, ROOT, run, sh, spec, type World } from './world.ts'

// They wait for the engine, each for containers of its own.
vi.setConfig({ maxConcurrency: 4 })

const HELPER = new URL(`../../guest/bin/hatchway-guest-${process.arch}`, import.meta.url).pathname
const HARDENED = ['--cap-drop', 'ALL', '--security-opt', 'no-new-privileges']

interface Row {
  readonly image: TestImage
  readonly args?: readonly string[]
  readonly user?: typeof ROOT
  readonly way: 'shell' | 'copy' | 'holder'
}

const ROWS: Readonly<Record<string, Row>> = {
  'root in Debian': { image: 'debian', way: 'shell' },
  'root in busybox': { image: 'busybox', way: 'shell' },
  'uid 1000': { image: 'debian', user: DEV, way: 'shell' },
  'uid 1000 in busybox': { image: 'busybox', user: DEV, way: 'shell' },
  'a uid that no passwd knows': { image: 'debian', user: { exec: '4242:4242', uid: 4242, gid: 4242 }, way: 'shell' },
  '--tmpfs /tmp': { image: 'busybox', args: ['--tmpfs', '/tmp'], way: 'shell' },
  // noexec, and no other directory is uid 1000's.
  '--tmpfs for all that uid 1000 may write to': {
    image: 'busybox',
    args: ['--tmpfs', '/tmp', '--tmpfs', '/home'],
    user: DEV,
    way: 'copy',
  },
  '--read-only': { image: 'busybox', args: ['--read-only'], way: 'shell' },
  '--read-only as uid 1000': { image: 'busybox', args: ['--read-only'], user: DEV, way: 'holder' },
  '--read-only --tmpfs /tmp': { image: 'busybox', args: ['--read-only', '--tmpfs', '/tmp'], way: 'shell' },
  'scratch, no shell': { image: 'scratch', way: 'copy' },
  'scratch, uid 1000': { image: 'scratch', user: DEV, way: 'copy' },
  // The copy call would mount the volume.
  'scratch with a volume': { image: 'scratch', args: ['-v', '/data'], way: 'holder' },
  'scratch, read-only': { image: 'scratch', args: ['--read-only'], way: 'holder' },
  'scratch, read-only, uid 1000, hardened': {
    image: 'scratch',
    args: ['--read-only', '--user', '1000:1000', ...HARDENED],
    user: DEV,
    way: 'holder',
  },
  'cap-drop ALL and no-new-privileges': { image: 'debian', args: HARDENED, user: DEV, way: 'shell' },
  'the same, read-only': { image: 'debian', args: ['--read-only', ...HARDENED], user: DEV, way: 'holder' },
  '6 MiB of memory': { image: 'busybox', args: ['-m', '6m'], way: 'shell' },
  'a pids limit of 12': { image: 'busybox', args: ['--pids-limit', '12'], way: 'shell' },
  'no network': { image: 'busybox', args: ['--network', 'none'], way: 'shell' },
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

describe.concurrent.each(['docker', 'cli'] as const)('delivery over the %s engine', (kind) => {
  let world: World
  beforeAll(async () => {
    world = await openWorld({}, kind)
  })
  afterAll(() => world.close())

  for (const [what, row] of Object.entries(ROWS)) {
    it(`${what}: by ${row.way}, and nothing is left behind`, async ({ own }) => {
      const container = await own.container(row.image, { args: row.args ?? [] })
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
      await until('the helper’s file to be gone', async () => (await left(container)).length === 0, 15_000)
      await until('the holder to be gone', async () => (await holdersOf(container)) === '', 15_000)
    })
  }
})

describe.concurrent('delivery', () => {
  it('takes the operator’s mount where there is one', async ({ own }) => {
    const mounted = '/opt/hatchway-guest'
    const world = await own.world({ mountedAt: mounted })
    const target = await own.container('scratch', { args: ['--read-only', '-v', `${HELPER}:${mounted}:ro`] })
    await world.guest(target)
    expect(await world.pool.explain(await world.inspect(target), ROOT, LIMIT())).toMatchObject({
      way: 'mount',
      failed: [],
    })
  })

  it('goes on to the next way where the operator’s mount is missing', async ({ own }) => {
    const world = await own.world({ mountedAt: '/opt/hatchway-guest' })
    const target = await own.container('busybox')
    await world.guest(target)
    const { way, failed } = await world.pool.explain(await world.inspect(target), ROOT, LIMIT())
    expect([way, failed.map((one) => one.way)]).toEqual(['shell', ['mount']])
  })

  it('goes on where the holder has another gid than the program (ptrace’s access check)', async ({ own }) => {
    const world = await own.world({ mode: 'auto' })
    const target = await own.container('scratch', { args: ['--read-only'] })
    const user = { exec: '1000:1000', uid: 1000, gid: 0 }
    expect(await world.pool.acquire(await world.inspect(target), user, LIMIT())).toBeUndefined()
    const { way, failed } = await world.pool.explain(await world.inspect(target), user, LIMIT())
    expect([way, failed.map((one) => one.way)]).toEqual([undefined, ['mount', 'copy', 'holder', 'shell']])
    await until('the holder to be gone', async () => (await holdersOf(target)) === '', 15_000)
  })

  it('with `require` tells that there is none; with `off` never tries', async ({ own }) => {
    const world = await own.world({ mode: 'require' })
    const target = await own.container('scratch', { args: ['--read-only'] })
    const user = { exec: '1000:1000', uid: 1000, gid: 0 }
    const found = await world.inspect(target)
    await expect(world.pool.acquire(found, user, LIMIT())).rejects.toMatchObject({ code: 'GUEST_FAILED' })
    const off = await own.world({ mode: 'off' })
    expect(await off.pool.acquire(found, ROOT, LIMIT())).toBeUndefined()
    await until('the holder to be gone', async () => (await holdersOf(target)) === '', 15_000)
  })

  it.for(['docker', 'cli'] as const)(
    'gives the holder little, and takes it away in time (%s)',
    async (kind, { own }) => {
      const seen: { limits: string; status: string }[] = []
      const look = async (target: TestContainer) => {
        const holder = await holdersOf(target)
        const [pid, ...limits] = (
          await docker(
            'inspect',
            '-f',
            '{{.State.Pid}} {{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.PidsLimit}} {{.HostConfig.CpuQuota}}/{{.HostConfig.CpuPeriod}} {{.HostConfig.CapDrop}} {{.HostConfig.ReadonlyRootfs}} {{.Config.Cmd}}',
            holder,
          )
        ).split(' ')
        seen.push({ limits: limits.join(' '), status: await readFile(`/proc/${pid}/status`, 'utf8') })
      }
      const MIB = 1024 * 1024
      const world = await own.world({ direct: true }, kind, undefined, ({ holders }) => ({
        holders: holders && {
          ...holders,
          async start(spec, signal) {
            const holder = await holders.start(spec, signal)
            await look(target)
            return holder
          },
        },
      }))
      const target = await own.container('debian', { args: ['--user', '1000:1000'] })
      const guest = await world.guest(target, DEV)
      // A helper that is stopped answers nothing: whoever stops it would keep the holder.
      const stop = (name: string) =>
        target.inside(`kill -${name} $(grep -l '^Name:.hatchway-guest' /proc/[0-9]*/status | cut -d/ -f3)`)
      await stop('STOP')
      const report = world.pool.explain(await world.inspect(target), DEV, LIMIT())
      await until('the holder to come', () => seen.length > 0)
      expect(seen[0]?.limits).toBe(`${32 * MIB} ${32 * MIB} 4 25000/100000 [ALL] true [hold 22000]`)
      expect(seen[0]?.status).toMatch(/^Seccomp:\t2$/m)
      await until('the holder to be gone', async () => (await holdersOf(target)) === '', 15_000)
      await stop('CONT')
      expect(await report).toMatchObject({ way: 'shell' })
      expect((await sh(guest, 'echo on')).out).toBe('on\n')
    },
  )

  // Alone: it takes the image from everybody.
  it.sequential.for(['docker', 'cli'] as const)(
    'brings the holder’s image again where another gateway removes it (%s)',
    async (kind, { own }) => {
      const world = await own.world({}, kind)
      const target = await own.container('scratch', { args: ['--read-only'] })
      const about = await world.inspect(target)
      await world.guest(target)
      // As gateways that end do, with nothing of it in use.
      const gone = Array.from({ length: 5 }, () => world.engine.holders?.forget('hatchway-guest', LIMIT()))
      const guests = await Promise.all([world.pool.acquire(about, DEV, LIMIT()), ...gone])
      expect(guests[0]?.identity.uid).toBe(1000)
    },
  )

  it('shares one delivery among concurrent sessions and one helper among later ones', async ({ own }) => {
    const world = await own.world()
    const target = await own.container('busybox')
    const guests = await Promise.all(Array.from({ length: 8 }, () => world.guest(target)))
    guests.push(await world.guest(target))
    expect(new Set(guests).size).toBe(1)
    expect(world.log.filter((line) => line.includes('delivered'))).toHaveLength(1)
    expect(await helpers(target)).toBe(1)
  })

  it('keeps helpers of two users apart', async ({ own }) => {
    const world = await own.world()
    const target = await own.container('debian')
    const [root, dev] = await Promise.all([world.guest(target, ROOT), world.guest(target, DEV)])
    expect([root.identity.uid, dev.identity.uid]).toEqual([0, 1000])
  })

  it('sends an idle helper away, and delivers anew for the next session', async ({ own }) => {
    const world = await own.world({ idleMs: 300, graceMs: 300 })
    const target = await own.container('busybox')
    const first = await world.guest(target)
    await until('the helper to leave', async () => (await helpers(target)) === 0)
    const second = await world.guest(target)
    expect(second).not.toBe(first)
    expect((await sh(second, 'echo on')).out).toBe('on\n')
  })

  it('keeps a helper as long as a session lives, however long it is silent', async ({ own }) => {
    const world = await own.world({ idleMs: 200 })
    const target = await own.container('busybox')
    const guest = await world.guest(target)
    expect((await sh(guest, 'sleep 1; echo alive')).out).toBe('alive\n')
    expect(guest.ended.aborted).toBe(false)
  })

  it('delivers anew after a restart of the container', async ({ own }) => {
    const world = await own.world()
    const target = await own.container('busybox')
    const first = await world.guest(target)
    await docker('restart', '-t', '0', target.name)
    await until('the helper to be gone', () => first.ended.aborted)
    expect((await sh(await world.guest(target), 'echo back')).out).toBe('back\n')
  })

  it('takes the shell where only exec is allowed, read-only and as uid 1000, too', async ({ own }) => {
    const refused = () => Promise.reject(new HatchwayError('ENGINE_ERROR', 'forbidden by an authorization plugin'))
    const world = await own.world({}, 'docker', undefined, () => ({ holders: undefined, copyIn: refused }))
    const target = await own.container('busybox', { args: ['--read-only', '--tmpfs', '/tmp:exec'] })
    const guest = await world.guest(target, DEV)
    expect((await sh(guest, 'id -u')).out).toBe('1000\n')
    const { way, failed } = await world.pool.explain(await world.inspect(target), DEV, LIMIT())
    expect([way, failed.map((one) => one.way)]).toEqual(['shell', ['mount', 'copy', 'holder']])
  })

  it('tells why nothing works where only exec is allowed and there is no shell', async ({ own }) => {
    const refused = () => Promise.reject(new HatchwayError('ENGINE_ERROR', 'forbidden by an authorization plugin'))
    const world = await own.world({ mode: 'auto' }, 'docker', undefined, () => ({
      holders: undefined,
      copyIn: refused,
    }))
    const target = await own.container('scratch')
    const found = await world.inspect(target)
    expect(await world.pool.acquire(found, ROOT, LIMIT())).toBeUndefined()
    const { failed } = await world.pool.explain(found, ROOT, LIMIT())
    expect(failed.map(({ way, reason }) => `${way}: ${reason}`).join('\n')).toMatch(
      /shell: .*sh: command not found.*\ncopy: forbidden.*\nholder: this engine cannot/s,
    )
  })

  it.for([
    ['debian', ROOT, []],
    ['busybox', ROOT, ['--read-only']],
    ['debian', DEV, []],
  ] as const)(
    'by the shell leaves no process, no file and no word: %s as %o %s',
    async ([image, user, args], { own }) => {
      const world = await own.world()
      const target = await own.container(image, { args })
      const processes = async () => {
        const rows = await docker('top', target.name, '-eo', 'pid,args')
        return rows.split('\n').map((row) => row.replace(/^\s*\S+\s+/, ''))
      }
      const before = await processes()
      const guest = await world.guest(target, user)
      expect(await processes()).toEqual([...before, '/proc/self/fd/3 serve'])
      expect(await docker('diff', target.name)).toBe('')
      expect(await docker('logs', target.name)).toBe('')
      const find = 'ls -A / /tmp /var/tmp /dev /dev/shm /run ~ 2>/dev/null | grep hatchway'
      expect((await target.inside(find, user.exec)).stdout.toString()).toBe('')
      // Its own program is for those who ask for it alone.
      expect((await sh(guest, 'readlink /proc/self/fd/3; echo on')).out).toBe('on\n')
    },
  )

  it.for(['docker', 'cli'] as const)(
    'goes another way where the shell hangs, and leaves nothing of it (%s)',
    async (kind, { own }) => {
      const world = await own.world({ shellMs: 1000 }, kind)
      const target = await own.container('debian')
      const program = '#!/usr/bin/python3\nimport os, time\nos.fork()\ntime.sleep(1000)\n'
      await target.inside(`printf %s '${program}' >/sh && chmod 755 /sh && mv /sh /bin/sh`)
      const since = Date.now()
      const guest = await world.guest(target, DEV)
      const { way, failed } = await world.pool.explain(await world.inspect(target), DEV, LIMIT())
      expect([way, failed.find((one) => one.way === 'shell')?.reason]).toEqual(['copy', 'it does not answer'])
      // What it would have for its HELLO.
      expect(Date.now() - since).toBeLessThan(20_000)
      const rows = async () => (await docker('top', target.name, '-eo', 'pid,args')).split('\n')
      await until(
        'the shell to be gone',
        async () => !(await rows()).some((row) => row.includes('python3 /bin/sh')),
        10_000,
      )
      expect((await run(guest, spec(['id', '-u']))).out).toBe('1000\n')
      await until('the helper’s file to be gone', async () => (await left(target)).length === 0, 15_000)
    },
  )

  it('by the shell where that is bash', async ({ own }) => {
    const world = await own.world()
    const target = await own.container('debian')
    await target.inside('ln -sf bash /bin/sh')
    await world.guest(target, DEV)
    expect(await world.pool.explain(await world.inspect(target), DEV, LIMIT())).toMatchObject({ way: 'shell' })
  })

  it('by the shell cannot be swapped by who owns the directory', async ({ own }) => {
    const target = await own.container('debian')
    const other = '2000'
    await target.inside(`chown ${other} /tmp && chmod 777 /tmp && mkdir -m 777 /var/seen`)
    const swaps = `
import os
fake = b"#!/bin/sh\\necho $(id -u) >>/var/seen/ran\\n"
while True:
    for name in os.listdir("/tmp"):
        if not name.startswith(".hatchway-guest-"): continue
        try:
            with open("/tmp/fake", "wb") as f: f.write(fake)
            os.chmod("/tmp/fake", 0o755)
            os.rename("/tmp/fake", "/tmp/" + name)
            open("/var/seen/swapped", "a").write(name + "\\n")
        except OSError: pass
`
    await docker('exec', '-d', '-u', other, target.name, 'python3', '-c', swaps)
    for (let round = 0; round < 10; round++) {
      const each = await own.world()
      const guest = await each.guest(target, DEV)
      expect((await sh(guest, 'echo genuine')).out).toBe('genuine\n')
      expect(await each.pool.explain(await each.inspect(target), DEV, LIMIT())).toMatchObject({ way: 'shell' })
      await each.close()
    }
    expect((await target.inside('cat /var/seen/swapped')).stdout.toString()).toMatch(/hatchway/)
    expect((await target.inside('cat /var/seen/ran')).stdout.toString()).toBe('')
  }, 60_000)

  it('by the shell touches no device that somebody put there under its name', async ({ own }) => {
    const target = await own.container('debian')
    await target.inside('mknod -m 600 /opt/device c 1 7')
    const world = await own.world({}, 'docker', undefined, (engine) => ({
      async exec(id, spec, sink, signal) {
        const name = spec.argv[4]
        if (spec.argv[0] === 'sh') await target.inside(`for d in /dev '' /tmp; do ln -s /opt/device $d/${name}; done`)
        return engine.exec(id, spec, sink, signal)
      },
    }))
    await world.guest(target)
    expect(await world.pool.explain(await world.inspect(target), ROOT, LIMIT())).toMatchObject({ way: 'shell' })
    expect((await target.inside('stat -c "%a %F" /opt/device')).stdout.toString()).toBe('600 character special file\n')
  })

  it('by the shell keeps off what other containers or the host have, too, also behind a link', async ({ own }) => {
    const world = await own.world()
    const volume = testName('shared')
    const target = await own.container('debian', { args: ['-v', `${volume}:/tmp`] })
    try {
      await target.inside('chmod 1777 /tmp; rm -rf /var/tmp; ln -s /tmp /var/tmp; touch -d @1 /tmp')
      await world.guest(target, DEV)
      expect(await world.pool.explain(await world.inspect(target), DEV, LIMIT())).toMatchObject({ way: 'shell' })
      expect((await target.inside('stat -c %Y /tmp')).stdout.toString()).toBe('1\n')
    } finally {
      await target.remove()
      await docker('volume', 'rm', volume)
    }
  })

  it('does not run a helper that came cut short', async ({ own }) => {
    const world = await own.world({}, 'docker', undefined, (engine) => ({
      async exec(id, spec, sink, signal) {
        const exec = await engine.exec(id, spec, sink, signal)
        if (spec.argv[0] !== '/bin/sh') return exec
        const write = exec.stdin.write.bind(exec.stdin)
        // As the engine ends it for a gateway that died.
        exec.stdin.write = (bytes: Buffer) => write(bytes.subarray(0, 20_000)) && Boolean(exec.stdin.end())
        return exec
      },
    }))
    const target = await own.container('busybox')
    await world.guest(target)
    const { way, failed } = await world.pool.explain(await world.inspect(target), ROOT, LIMIT())
    expect([way, failed[1]]).toMatchObject([
      'copy',
      { way: 'shell', reason: expect.stringMatching(/did not come whole/) },
    ])
    expect((await target.inside('ls -A /dev / | grep hatchway-guest')).code).toBe(1)
  })

  it('goes on to the copy where the shell has words of its own', async ({ own }) => {
    const world = await own.world()
    const target = await own.container('debian')
    const wrapper = '#!/bin/dash\necho Welcome\nexec /bin/dash "$@"\n'
    await target.inside(`printf '${wrapper}' >/sh; chmod 755 /sh; mv /sh /bin/sh`)
    await world.guest(target)
    expect(await world.pool.explain(await world.inspect(target), ROOT, LIMIT())).toMatchObject({ way: 'copy' })
    await until('the file to be gone', async () => (await left(target)).length === 0, 15_000)
  })

  it('removes at start what a killed gateway had noted', async ({ own }) => {
    const early = await own.world()
    const [killed, living, ours] = await Promise.all([1, 2, 3].map(() => openInstance(early.stateFolder)))
    await killed!.close()
    const target = await own.container('debian')
    const name = `.hatchway-guest-${'0'.repeat(32)}`
    await docker('cp', HELPER, `${target.name}:/${name}`)
    const journal = join(early.stateFolder, 'guest')
    await mkdir(journal)
    // One of a gateway that lives, and is in the middle of it, and one of a gateway that does not.
    const spared = `put-${living!.id}-${'1'.repeat(32)}`
    const dead = `put-${killed!.id}-${'2'.repeat(32)}`
    const other = `.hatchway-guest-${'1'.repeat(32)}`
    await docker('cp', HELPER, `${target.name}:/${other}`)
    await writeFile(join(journal, spared), `${target.id} /${other}\n`)
    await writeFile(join(journal, dead), `${target.id} /${name}\n`)
    await writeFile(join(journal, `put-${'0'.repeat(32)}`), `${target.id} /${name}\n`)
    await own.world({ stateFolder: early.stateFolder, instance: ours! })
    await until('the file to go', async () => (await target.inside(`test -e /${name}`)).code === 1)
    await until('their notes to go', async () => (await readdir(journal)).join() === spared)
    expect((await target.inside(`test -e /${other}`)).code).toBe(0)
    await Promise.all([living!.close(), ours!.close()])
  })

  it('does not sweep a holder that was created this moment', async ({ own }) => {
    const world = await own.world()
    const target = await own.container('busybox', { args: ['--read-only'] })
    await world.guest(target)
    const name = testName('holder')
    await docker('create', '--name', name, '--label', `hatchway.holder=${target.id}`, 'hatchway-busybox')
    await world.engine.holders?.sweep(LIMIT())
    // A living gateway could be starting it.
    await docker('rm', name)
  })
})
