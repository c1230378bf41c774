import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { type Channel, T } from './client.ts'
import { alive, children, suite } from './suite.ts'

/** Starts one process of every kind; "name pid" lines, then "ready". Every one of them would live for a minute. */
const FAMILY = `
say() { echo "$1 $2"; }
sleep 60 & say background $!
sleep 60 >/dev/null 2>&1 & say detached $!
nohup sleep 60 >/dev/null 2>&1 & say nohup $!
setsid sh -c 'echo setsid $$; exec sleep 60' &
bash -c 'trap : HUP TERM; echo traps $$; exec 2>/dev/null; while :; do sleep 0.1; done' &
(sh -c 'sh -c "echo grandchild \\$\\$; exec sleep 60" & wait' &)
sh -c 'echo stopped $$; kill -STOP $$; sleep 60' &
sleep 0.5; say shell $$; echo ready; wait; sleep 60`

async function family(channel: Channel): Promise<Record<string, number>> {
  const text = await channel.waitText(/ready\r?\n/, 20_000)
  return Object.fromEntries(
    text
      .split(/\r?\n/)
      .map((line) => line.split(' '))
      .filter(([name, pid]) => name && Number(pid))
      .map(([name, pid]) => [name, Number(pid)]),
  )
}
const living = (pids: Record<string, number>) =>
  Object.keys(pids)
    .filter((name) => alive(pids[name] ?? 0))
    .sort()
function killAll(pids: Record<string, number>): void {
  for (const pid of Object.values(pids)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {}
  }
}

const KINDS = ['background', 'detached', 'grandchild', 'nohup', 'setsid', 'shell', 'stopped', 'traps']

suite('ends', ({ run, start, build }) => {
  for (const pty of [false, true]) {
    const kind = pty ? 'with a pty' : 'without a pty'
    const options = pty ? { pty: true as const } : {}
    // Holds no pipe of the session, as the server that an IDE leaves running; a terminal's hang-up reaches it all the same.
    const spared = pty ? ['nohup', 'setsid'] : ['detached', 'nohup', 'setsid']

    run(`${kind}: a hang-up ends the session, spares ${spared.join(', ')}`, async () => {
      const client = await start({ init: { grace: 2500 } })
      const channel = client.spawn(['bash', '-c', FAMILY], options)
      const pids = await family(channel)
      expect(Object.keys(pids).sort()).toEqual(KINDS)
      const leader = (await channel.wait(T.OPENED)).payload.readUInt32BE(0)
      expect(leader).toBe(pids.shell)
      channel.close(0)
      await channel.closed(1000)
      // The trap of "traps" outlives the HUP, until the grace is over.
      await expect.poll(() => living(pids), { timeout: 1800 }).toEqual([...spared, 'traps'])
      await expect.poll(() => living(pids), { timeout: 5000 }).toEqual(spared)
      killAll(pids)
      await expect.poll(() => children(client)).toEqual([])
    })

    run(`${kind}: terminate spares only what left the session`, async () => {
      const client = await start({ init: { grace: 500 } })
      const channel = client.spawn(['bash', '-c', FAMILY], options)
      const pids = await family(channel)
      channel.close(1)
      await expect.poll(() => living(pids), { timeout: 10_000 }).toEqual(['setsid'])
      killAll(pids)
    })

    run(`${kind}: kill-tree reaches every descendant`, async () => {
      const client = await start({ init: { grace: 300 } })
      const channel = client.spawn(['bash', '-c', FAMILY], { ...options, monitor: true })
      const pids = await family(channel)
      channel.close(2)
      await channel.closed(1000)
      await expect.poll(() => living(pids), { timeout: 10_000 }).toEqual([])
      await expect.poll(() => children(client), { timeout: 10_000 }).toEqual([])
    })

    run(`${kind}: the gateway's end is a hang-up, with a monitor a kill-tree, and the helper exits 0`, async () => {
      const client = await start({ init: { grace: 500 } })
      const plain = await family(client.spawn(['bash', '-c', FAMILY], options))
      const monitored = await family(client.spawn(['bash', '-c', FAMILY], { ...options, monitor: true }))
      client.process.stdin?.end()
      expect(await client.exited(15_000)).toBe(0)
      expect(living(monitored)).toEqual([])
      expect(living(plain)).toEqual(spared)
      killAll(plain)
    })
  }

  run('a monitored session ends as any other: exit status, streams, survivors live', async () => {
    const client = await start()
    const channel = client.sh('echo $$; setsid sleep 60 >/dev/null 2>&1 & echo $!; exit 9', { monitor: true })
    await channel.closed()
    expect(await channel.exit()).toEqual([0, 9, 0])
    const [leader, survivor] = channel.out.toString().trim().split('\n').map(Number)
    expect((await channel.wait(T.OPENED)).payload.readUInt32BE(0)).toBe(leader)
    await sleep(200)
    expect(alive(survivor as number)).toBe(true)
    process.kill(survivor as number, 'SIGKILL')
    await expect.poll(() => children(client)).toEqual([])
  })

  run('the helper SIGKILLed: its monitored sessions are killed with all they started', async () => {
    const client = await start({ init: { grace: 200 } })
    const pids = await family(client.spawn(['bash', '-c', FAMILY], { monitor: true }))
    client.process.kill('SIGKILL')
    await expect.poll(() => living(pids), { timeout: 10_000 }).toEqual([])
  })

  run('a monitor that is killed costs the session nothing', async () => {
    const client = await start()
    const channel = client.sh('echo $PPID; sleep 0.5; echo on; exit 3', { monitor: true })
    process.kill(Number(await channel.waitText(/\d+\n/)), 'SIGKILL')
    await channel.closed()
    expect(channel.out.toString()).toMatch(/\d+\non\n/)
    expect(await channel.exit()).toEqual([0, 3, 0])
  })

  run('SIGNAL without a pty goes to the process group', async () => {
    const client = await start()
    const channel = client.spawn(['bash', '-c', 'trap "echo got; exit 2" USR1; sleep 60 & echo $!; wait'])
    const background = Number(await channel.waitText(/\d+\n/))
    await sleep(300) // for the background sleep to be one
    channel.signal(10)
    expect(await channel.exit()).toEqual([0, 2, 0])
    await expect.poll(() => alive(background)).toBe(false)
    expect(channel.out.toString()).toContain('got')
  })

  run('CLOSE while the program is only being started leaves nothing', async () => {
    const client = await start({ init: { grace: 200 } })
    for (const monitor of [false, true]) {
      const channel = client.sh('sleep 60', { monitor })
      channel.close(0)
      await channel.closed()
    }
    await expect.poll(() => children(client), { timeout: 4000 }).toEqual([])
  })

  run('CLOSE after EXIT still ends what holds the pipes', async () => {
    const client = await start({ init: { grace: 200 } })
    const channel = client.sh('sleep 60 & echo $!; exit 0')
    await channel.exit()
    const holder = Number(channel.out)
    expect(alive(holder)).toBe(true)
    channel.close(0)
    await channel.closed()
    await expect.poll(() => alive(holder)).toBe(false)
    await expect.poll(() => children(client)).toEqual([])
  })

  run('orphans that daemonised are reaped, not collected', async () => {
    const client = await start()
    for (let i = 0; i < 10; i++) await client.sh('setsid sh -c "sleep 0.1 &" >/dev/null 2>&1 </dev/null').closed()
    const zombies = () => children(client)
    await expect.poll(zombies, { timeout: 10_000 }).toEqual([])
  })

  run('orphans are reaped also while a leader is held', async () => {
    const client = await start()
    const held = client.sh('sleep 60 & exit 0')
    await held.exit()
    for (let i = 0; i < 5; i++) await client.sh('(sleep 0.05 &) >/dev/null 2>&1').closed()
    // The dead leader itself, and its sleep.
    await expect.poll(() => children(client).length, { timeout: 10_000 }).toBe(2)
    held.close()
    await expect.poll(() => children(client), { timeout: 10_000 }).toEqual([])
  })

  run('nohup is respected for who is in a thousand groups, too', async () => {
    const groups = Array.from({ length: 1000 }, (_, i) => 100_000 + i).join()
    const wrap = ['setpriv', `--groups=${groups}`, ...(build.wrap ?? [])]
    const client = await start({ init: { grace: 200 }, wrap })
    const channel = client.spawn(['bash', '-c', FAMILY], { pty: true })
    const pids = await family(channel)
    channel.close(0)
    await expect.poll(() => living(pids), { timeout: 5000 }).toEqual(['nohup', 'setsid'])
    await sleep(500)
    expect(living(pids)).toEqual(['nohup', 'setsid'])
    killAll(pids)
  })

  run('no frame within the lease: everything is hung up and the helper is gone', async () => {
    const client = await start({ init: { lease: 1000, grace: 200 } })
    client.keepAlive(100)
    const pids = await family(client.spawn(['bash', '-c', FAMILY]))
    client.stopPings()
    expect(await client.exited(4000)).toBe(0)
    expect(living(pids)).toEqual(['detached', 'nohup', 'setsid'])
    expect(client.stderr).toContain('no frame within the lease')
    killAll(pids)
  })

  run('whatever comes renews the lease, not only a PING', async () => {
    const client = await start({ init: { lease: 600 } })
    const cat = client.spawn(['cat'])
    for (let i = 0; i < 10; i++) {
      await sleep(150)
      cat.data('x')
    }
    expect(client.code).toBeUndefined()
    expect(cat.out.toString()).toMatch(/^x{9,10}$/)
  })

  run('PINGs that queued while the helper was frozen renew the lease', async () => {
    const client = await start({ init: { lease: 600 } })
    client.keepAlive(100)
    client.process.kill('SIGSTOP')
    await sleep(1500)
    client.process.kill('SIGCONT')
    await sleep(800)
    expect(client.code).toBeUndefined()
    expect((await client.sh('echo alive').closed()).out.toString()).toBe('alive\n')
  })

  run('SHUTDOWN: no new channels, and the helper goes with the last one', async () => {
    const client = await start()
    const channel = client.spawn(['cat'])
    await channel.wait(T.OPENED)
    client.send(T.SHUTDOWN, 0)
    expect((await client.sh('true').closed()).failed).toEqual({ errno: 108, stage: 0 })
    channel.data('still here')
    channel.eof()
    await channel.closed()
    expect(channel.out.toString()).toBe('still here')
    expect(await client.exited()).toBe(0)
  })

  run('SIGTERM is an orderly end, told by the end of the helper and not as that of its programs', async () => {
    const client = await start({ init: { grace: 200 } })
    const listener = client.listenTcp('127.0.0.1', 0)
    await listener.wait(T.OPENED)
    const channels = [client.sh('echo $$; sleep 60'), client.sh('echo $$; sleep 60', { monitor: true })]
    const pids = await Promise.all(channels.map(async (one) => Number(await one.waitText(/\d+\n/))))
    client.process.kill('SIGTERM')
    expect(await client.exited()).toBe(0)
    expect(pids.map(alive)).toEqual([false, false])
    expect([listener, ...channels].map((one) => one.has(T.CLOSED))).toEqual([undefined, undefined, undefined])
  })

  run('at the limit of processes a spawn is refused and the rest goes on', async () => {
    const wrap = [
      'setpriv',
      '--reuid',
      '61234',
      '--regid',
      '61234',
      '--clear-groups',
      'bash',
      '-c',
      'ulimit -u 3; exec "$0" "$@"',
    ]
    const client = await start({ wrap })
    const kept = client.spawn(['cat'])
    await kept.wait(T.OPENED)
    const more = [
      client.spawn(['sleep', '60']),
      client.spawn(['sleep', '60']),
      client.spawn(['sleep', '60'], { monitor: true }),
    ]
    await client.until(() => more.some((channel) => channel.failed), 'a refusal', 5000)
    for (const channel of more) if (channel.failed) expect(channel.failed).toEqual({ errno: 11, stage: 0 })
    kept.data('x')
    await kept.waitText('x')
  })
})
