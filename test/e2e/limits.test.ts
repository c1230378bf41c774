/**
 * Limits of sessions and connections with the real clients; where Debian's sshd (9.2) has them, beside it. Issue 7.
 * What only a clock decides: test/session/time-limits.test.ts.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { startContainer, testMark, testName } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import type { Terminal } from '../support/pty.ts'
import { GATEWAY_ROADS, openRoad, ROADS, type Road } from '../support/roads.ts'
import { makeKeys, makeSshClient } from '../support/ssh.ts'
import { sleep, until } from '../support/wait.ts'

// All of it waits for clocks, each at a server with limits of its own.
vi.setConfig({ maxConcurrency: 8 })

/** The keys of all, and the container of all gateways. */
let beside: Pick<Road, 'keys' | 'container'>
const terminals: Terminal[] = []
beforeAll(async () => {
  const [keys, container] = await Promise.all([makeKeys(), startContainer('debian', { name: testName('web') })])
  beside = { keys, container }
})
afterAll(async () => {
  for (const terminal of terminals) terminal.kill()
  await beside?.container.remove()
  await beside?.keys.close()
})

function onTerminal(road: Road, ...args: string[]): Terminal {
  const terminal = road.client.terminal(args)
  terminals.push(terminal)
  return terminal
}

// One engine is enough: the limits are on this side of it. The road without a helper ends sessions in its own way.
const ONE_GATEWAY = GATEWAY_ROADS.filter((road) => road === 'hatchway docker')
const WITH_REFERENCE = ROADS.filter((road) => road !== 'hatchway cli')

describe.concurrent.each(
  ONE_GATEWAY.flatMap((road) => [
    { road, guest: 'auto' as const },
    { road, guest: 'off' as const },
  ]),
)('session times on $road, guest $guest', ({ road: name, guest }) => {
  let road: Road
  beforeAll(async () => {
    road = await openRoad(name, {
      beside,
      guest,
      gatewayEnv: {
        HATCHWAY_LIMITS_SESSION_IDLE_TIMEOUT: '8s',
        HATCHWAY_LIMITS_SESSION_MAX_TIME: '20s',
        HATCHWAY_LIMITS_SESSION_TIMEOUT_WARNING: '4s',
      },
    })
  })
  afterAll(() => road?.close())

  test('an idle command: a warning and the reason on stderr, exit 255, and it is gone inside', async () => {
    const mark = testMark()
    const { code, stdout, stderr } = await road.client.exec(`sh -c 'sleep 90; : ${mark}'`, { limit: 40_000 })
    expect([code, stdout.toString()]).toEqual([255, ''])
    expect(stderr.toString().split('\n')).toEqual([
      'hatchway: this session ends in 4 seconds, unless it is used',
      'hatchway: session ended: it was idle for 8 seconds',
      '',
    ])
    await until('it is gone inside', async () => (await road.container.count(mark)) === 0)
  }, 60_000)

  test('an idle shell: both on the terminal, where a key pressed in time saves it', async () => {
    const terminal = onTerminal(road, '-tt', 't')
    await terminal.expect('$')
    await terminal.expect('\r\nhatchway: this session ends in 4 seconds, unless it is used\r\n', 20_000)
    terminal.send('echo st""ill\r')
    await terminal.expect('still')
    await terminal.expect('this session ends in 4 seconds, unless it is used', 20_000)
    await terminal.expect('\r\nhatchway: session ended: it was idle for 8 seconds\r\n', 20_000)
    expect(await terminal.exit(20_000)).toBe(255)
  }, 80_000)

  test('a busy command ends at the absolute limit', async () => {
    const { code, stdout, stderr } = await road.client.exec('while :; do echo tick; sleep 0.5; done', { limit: 60_000 })
    expect(code).toBe(255)
    expect(stdout.toString().split('\n').length).toBeGreaterThan(3)
    expect(stderr.toString().split('\n')).toEqual([
      'hatchway: this session ends in 4 seconds: it may last 20 seconds',
      'hatchway: session ended: it lasted 20 seconds, which is its limit',
      '',
    ])
  }, 80_000)
})

describe.concurrent.each(ONE_GATEWAY)('limits of an identity on %s', (name) => {
  let road: Road
  beforeAll(async () => {
    road = await openRoad(name, {
      beside,
      gatewayEnv: {
        HATCHWAY_LIMITS_MAX_SESSIONS_PER_IDENTITY: '2',
        HATCHWAY_LIMITS_MAX_CONNECTIONS_PER_IDENTITY: '3',
      },
    })
  })
  afterAll(() => road?.close())

  /** Until its stdin ends. */
  const hold = (...args: string[]) => {
    const child = spawn('ssh', ['-F', road.client.config, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
    const exit = new Promise((resolve) => child.once('exit', resolve))
    const running = new Promise((resolve) => child.stdout.once('data', resolve))
    const doing = (act: () => void) => {
      act()
      return exit
    }
    return { running, end: () => doing(() => child.stdin.end()), kill: () => doing(() => child.kill()) }
  }

  // One after the other: both count what the same identity has.
  test.sequential('one session too many, over whatever connections, reads why; one that ended makes room', async () => {
    const [first, second] = [hold('t', 'echo; cat'), hold('t', 'echo; cat')]
    await Promise.all([first.running, second.running])
    const { code, stderr } = await road.client.exec('true')
    expect([code, stderr.toString()]).toEqual([
      255,
      'hatchway: hw-test-ed25519 has 2 sessions already, and may have no more\n',
    ])
    await first.end()
    await until('there is room', async () => (await road.client.exec('true')).code === 0)
    await second.end()
  }, 40_000)

  test.sequential('one connection too many is disconnected with the reason; another identity is not concerned', async () => {
    const logins = () => (road.gateway?.log().match(/"msg":"authenticated"/g) ?? []).length
    const before = logins()
    const held = [hold('-N', 't'), hold('-N', 't'), hold('-N', 't')]
    await until('three are in', () => logins() >= before + 3)
    await until('one more is refused', async () => {
      const { code, stderr } = await road.client.exec('true')
      return (
        code === 255 &&
        stderr.toString().includes('12: hatchway: hw-test-ed25519 has 3 connections already, and may have no more')
      )
    })
    const other = await road.as(road.client.target.user, [
      `IdentityFile ${road.client.target.key.replace('ed25519', 'ecdsa')}`,
    ])
    expect((await other.exec('true')).code).toBe(0)
    for (const one of held) await one.kill()
    await until('there is room', async () => (await road.client.exec('true')).code === 0)
  }, 40_000)
})

describe.concurrent.each(WITH_REFERENCE)('a message of the day on %s', (name) => {
  let road: Road
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hw-test-motd-'))
    const motd = join(folder, 'motd')
    await writeFile(motd, 'first line of the day\nsecond line\n')
    road = await openRoad(name, { beside, gatewayEnv: { HATCHWAY_MOTD: motd } })
    // sshd shows the machine's own.
    if (name === 'sshd') await road.container.inside("printf 'first line of the day\\nsecond line\\n' >/etc/motd")
  })
  afterAll(async () => {
    await road?.close()
    await rm(folder, { recursive: true, force: true })
  })

  test('is shown before a login shell on a terminal', async () => {
    const terminal = onTerminal(road, '-tt', 't')
    await terminal.expect('first line of the day\r\nsecond line\r\n')
    await terminal.expect('$')
    terminal.send('exit\r')
    expect(await terminal.exit()).toBe(0)
  })

  test('is not shown to a command, with a terminal or without, nor to a shell without one', async () => {
    const command = onTerminal(road, '-tt', 't', 'echo done')
    await command.expect('done')
    await command.exit()
    expect(command.output()).not.toContain('line of the day')
    expect((await road.client.exec('echo done')).stdout.toString()).toBe('done\n')
    expect((await road.client.ssh(['-T', 't'], { input: 'echo done\n' })).stdout.toString()).toBe('done\n')
  })
})

describe.concurrent.each(WITH_REFERENCE)('ChannelTimeout on %s', (name) => {
  let road: Road
  beforeAll(async () => {
    road = await openRoad(name, {
      beside,
      gatewayEnv: { HATCHWAY_LIMITS_CHANNEL_TIMEOUT: 'session:command=4s,session:subsystem:sftp=4s' },
      sshdConfig: 'ChannelTimeout session:command=4s session:subsystem:sftp=4s',
    })
  })
  afterAll(() => road?.close())

  test('a command that says nothing is closed without a word: exit 255', async () => {
    const { code, stdout, stderr } = await road.client.exec('sleep 60; echo never', { limit: 20_000 })
    expect([code, stdout.toString(), stderr.toString()]).toEqual([255, '', ''])
  })

  test('output keeps it', async () => {
    const { code } = await road.client.exec('for i in $(seq 16); do sleep 0.5; echo $i; done; exit 7', {
      limit: 40_000,
    })
    expect(code).toBe(7)
  }, 50_000)

  test('input keeps it', async () => {
    const child = spawn('ssh', ['-F', road.client.config, 't', 'cat >/dev/null; exit 8'], {
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    const exit = new Promise((resolve) => child.once('exit', resolve))
    for (let i = 0; i < 16; i++) {
      child.stdin.write('x')
      await sleep(500)
    }
    child.stdin.end()
    expect(await exit).toBe(8)
  }, 50_000)

  test('a shell is not concerned', async () => {
    expect((await road.client.ssh(['-T', 't'], { input: 'sleep 6; exit 9\n' })).code).toBe(9)
  })
})

describe.concurrent.each(WITH_REFERENCE)('UnusedConnectionTimeout on %s', (name) => {
  let road: Road
  beforeAll(async () => {
    road = await openRoad(name, {
      beside,
      gatewayEnv: { HATCHWAY_LIMITS_UNUSED_CONNECTION_TIMEOUT: '4s' },
      sshdConfig: 'UnusedConnectionTimeout 4s',
    })
  })
  afterAll(() => road?.close())

  test('ssh -N is disconnected, also when it listens with -R', async () => {
    const unused = [
      ['-N', 't'],
      ['-N', '-R', '0:127.0.0.1:9', 't'],
    ].map((args) => road.client.ssh(args))
    expect((await Promise.all(unused)).map(({ code, timedOut }) => [code, timedOut])).toEqual([
      [255, false],
      [255, false],
    ])
  })

  test('a session keeps the connection', async () => {
    expect((await road.client.exec('sleep 6; exit 7')).code).toBe(7)
  })
})

describe.concurrent.each(WITH_REFERENCE)('PerSourceMaxStartups on %s', (name) => {
  let road: Road
  const sockets: Socket[] = []
  beforeAll(async () => {
    road = await openRoad(name, {
      beside,
      gatewayEnv: { HATCHWAY_LIMITS_PER_SOURCE_MAX_STARTUPS: '2' },
      sshdConfig: 'PerSourceMaxStartups 2',
    })
  })
  afterAll(async () => {
    for (const socket of sockets) socket.destroy()
    await road?.close()
  })

  /** The first words of a server to a raw connection. */
  const dial = async (localAddress?: string): Promise<string> => {
    const { host, port } = road.client.target
    const socket = connect({ host, port, ...(localAddress && { localAddress }) })
    sockets.push(socket)
    return new Promise((resolve) => {
      let text = ''
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1')
        if (text.includes('\n')) resolve(text.split('\r\n')[0] ?? '')
      })
      socket.on('error', (error) => resolve(error.message))
      socket.on('close', () => resolve(text))
    })
  }

  test('the third that does not log in reads so; who logged in is not counted; one that left makes room', async () => {
    const control = join(road.client.dir, 'control')
    const inside = spawn('ssh', ['-F', road.client.config, '-o', `ControlPath=${control}`, '-M', '-N', 't'])
    await until('one is in', async () => (await road.client.ssh(['-S', control, '-O', 'check', 't'])).code === 0)
    expect(await Promise.all([dial(), dial()])).toEqual([
      expect.stringMatching(/^SSH-2\.0-/),
      expect.stringMatching(/^SSH-2\.0-/),
    ])
    expect(await dial()).toBe('Exceeded MaxStartups')
    const { code, stderr } = await road.client.exec('true')
    const words =
      name === 'sshd' ? /kex_exchange_identification|closed/i : /^Received disconnect .*:12: Exceeded MaxStartups/m
    expect([code, stderr.toString()]).toEqual([255, expect.stringMatching(words)])
    // Another source: only on loopback are there several.
    if (name !== 'sshd') expect(await dial('127.0.0.7')).toMatch(/^SSH-2\.0-/)
    sockets[0]?.destroy()
    await until('there is room', async () => (await road.client.exec('true')).code === 0)
    inside.kill()
  }, 40_000)
})

describe.concurrent.each(ONE_GATEWAY)('behind a listed proxy, %s', () => {
  let folder: string
  let gateway: Gateway
  const proxies: Server[] = []
  const sockets: Socket[] = []
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hw-test-from-'))
    const authorized = join(folder, 'authorized_keys')
    await writeFile(authorized, `from="192.0.2.0/24" ${await readFile(`${beside.keys.ed25519}.pub`, 'utf8')}`)
    const env = { HATCHWAY_PROXY_PROTOCOL_FROM: '127.0.0.0/24' }
    gateway = await startGateway({ keys: { ...beside.keys, authorized }, engine: 'docker', env })
  })
  afterAll(async () => {
    for (const socket of sockets) socket.destroy()
    for (const proxy of proxies) proxy.close()
    await gateway?.stop()
    await rm(folder, { recursive: true, force: true })
  })

  /** By a proxy that sends this header first, as HAProxy's send-proxy does. */
  const login = async (header: string, command: string) => {
    const proxy = createServer((client) => {
      const upstream = connect(gateway.port, gateway.host)
      sockets.push(client, upstream)
      client.on('error', () => upstream.destroy())
      upstream.on('error', () => client.destroy())
      upstream.write(header)
      client.pipe(upstream).pipe(client)
    }).listen(0, '127.0.0.1')
    proxies.push(proxy)
    await once(proxy, 'listening')
    const { port } = proxy.address() as AddressInfo
    const client = await makeSshClient({ ...gateway.target(`dev@${beside.container.name}`), host: '127.0.0.1', port })
    const result = await client.exec(command)
    await client.close()
    return result
  }

  test('the session and from= see the true address', async () => {
    const listed = await login('PROXY TCP4 192.0.2.7 198.51.100.1 50000 2222\r\n', 'echo "$SSH_CONNECTION"')
    expect([listed.code, listed.stdout.toString()]).toEqual([0, '192.0.2.7 50000 198.51.100.1 2222\n'])
    const refused = await login('PROXY TCP4 203.0.113.7 198.51.100.1 50000 2222\r\n', 'true')
    expect([refused.code, refused.stderr.toString()]).toEqual([255, expect.stringContaining('Permission denied')])
  }, 40_000)

  test('a broken header is closed, and the log says why', async () => {
    expect((await login('PROXY TCP4 nobody 198.51.100.1 50000 2222\r\n', 'true')).code).toBe(255)
    const lines = () =>
      gateway
        .log()
        .split('\n')
        .filter((line) => line.includes('"proxy-header"'))
    await until('it is logged', () => lines().length > 0)
    expect(JSON.parse(lines()[0] ?? '')).toMatchObject({
      msg: 'connection dropped',
      level: 'warn',
      remote: expect.stringMatching(/^127\.0\.0\.1:/),
      detail: 'version 1: no address',
    })
  })
})

describe.concurrent.each(ONE_GATEWAY)('a configuration that is read again, %s', () => {
  test('limits and motd count for the next connection', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hw-test-reload-'))
    const config = join(folder, 'hatchway.yaml')
    await writeFile(config, 'limits: { maxSessions: 0 }\n')
    const gateway = await startGateway({ keys: beside.keys, engine: 'docker', args: ['--config', config] })
    const client = await makeSshClient(gateway.target(`dev@${beside.container.name}`))
    try {
      expect((await client.exec('true')).code).toBe(255)
      await writeFile(join(folder, 'motd'), 'of the day\n')
      await writeFile(config, 'motd: motd\n')
      process.kill(gateway.pid, 'SIGHUP')
      await until('a session is let in', async () => (await client.exec('true')).code === 0)
      const terminal = client.terminal(['-tt', 't'])
      terminals.push(terminal)
      await terminal.expect('of the day')
    } finally {
      await client.close()
      await gateway.stop()
      await rm(folder, { recursive: true, force: true })
    }
  }, 60_000)
})
