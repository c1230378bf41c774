/**
 * A gateway that hands over to a new one, as processes; no engine answers here, and no container is needed.
 * test/e2e/restart.test.ts has sessions and transfers.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { allConnections } from '../../src/control/client.ts'
import { descriptorOf } from '../../src/ssh/descriptors.ts'
import { type Gateway, MAIN, startGateway } from '../support/gateway.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'
import { sleep, until as untilWithin } from '../support/wait.ts'

const TIMEOUT = 180_000
const until = <T>(what: string, ask: () => Promise<T | false | undefined> | T | false | undefined) =>
  untilWithin(what, ask, 60_000)

const CONFIG = 'hostSuffixes: []\n'

let keys: Keys
let folder: string
let config: string
let socket: string
const opened: (() => unknown)[] = []
/** Ended at last, however a test fails. */
const pids = new Set<number>()

beforeAll(async () => {
  keys = await makeKeys()
})
afterAll(() => keys?.close())
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hw-test-restart-'))
  chmodSync(folder, 0o755)
  config = join(folder, 'hatchway.yaml')
  writeFileSync(config, CONFIG)
  socket = join(folder, 'c.sock')
})
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
  for (const pid of pids) if (isOurs(pid)) process.kill(pid, 'SIGKILL')
  pids.clear()
  rmSync(folder, { recursive: true })
})

async function gateway(options: { main?: string; args?: readonly string[] } = {}): Promise<Gateway> {
  const args = ['--config', config, '--control-socket', socket, ...(options.args ?? [])]
  const started = await startGateway({
    ...{ keys, engine: 'docker', guest: 'off', args, ...(options.main !== undefined && { main: options.main }) },
    env: { DOCKER_HOST: 'unix:///nonexistent.sock' },
  })
  pids.add(started.pid)
  opened.push(() => started.stop(20_000))
  return started
}

async function hatchway(...args: string[]) {
  const all = [MAIN, ...args, '--control-socket', socket]
  const { code, stdout, stderr } = await run(process.execPath, all, {
    limit: 100_000,
    env: { HATCHWAY_CONFIG: config },
  })
  return { code, out: stdout.toString(), err: stderr.toString() }
}

/** Returns the pid of the gateway that has taken over. */
async function restart(): Promise<number> {
  const { code, out, err } = await hatchway('restart')
  expect([code, err]).toEqual([0, ''])
  const pid = Number(/^gateway (\d+) \(\S+\) has taken over from gateway \d+: /m.exec(out)?.[1])
  pids.add(pid)
  return pid
}

interface Login {
  readonly client: SshClient
  lives(): Promise<boolean>
  end(): Promise<unknown>
}

/** A connection without a session, as for -L. */
async function login(to: Gateway): Promise<Login> {
  const client = await makeSshClient(to.target('ls'), ['ControlMaster auto'])
  const path = ['-S', join(client.dir, 'master')]
  const master = client.ssh([...path, '-N', '-M', 't'], { limit: TIMEOUT })
  const check = async () => (await client.ssh([...path, '-O', 'check', 't'])).code === 0
  await until('the client has logged in', check)
  let ended: Promise<unknown> | undefined
  const end = () => {
    ended ??= client.ssh([...path, '-O', 'exit', 't']).then(() => master)
    return ended
  }
  opened.push(async () => {
    await end()
    await client.close()
  })
  return { client, lives: check, end }
}

/** Which gateway has how many connections. */
async function connectionsOf(): Promise<Record<number, number>> {
  const all = await allConnections(socket)
  return Object.fromEntries(all.map(({ pid, connections }) => [pid, connections.length]))
}

async function freePort(): Promise<number> {
  const free = createServer()
  await new Promise<void>((resolve) => free.listen(0, '127.0.0.1', resolve))
  const address = free.address()
  await new Promise((resolve) => free.close(resolve))
  return address !== null && typeof address === 'object' ? address.port : 0
}

function isOurs(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(folder)
  } catch {
    return false
  }
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function identification(to: Pick<Gateway, 'host' | 'port'>): Promise<string> {
  return new Promise((resolve, reject) => {
    const client = connect(to.port, to.host)
    // The gateway lets its client begin.
    client.write('SSH-2.0-visitor\r\n')
    client.setTimeout(20_000, () => client.destroy(new Error('no answer')))
    client.once('data', (data) => {
      client.destroy()
      resolve(data.toString().slice(0, 8))
    })
    client.once('error', reject)
    client.once('close', () => reject(new Error('closed without a word')))
  })
}

/** Connects again and again; `stop` returns how often, and what was not as it should be. */
function visitor(to: Gateway) {
  let over = false
  let count = 0
  const failures: unknown[] = []
  const visits = (async () => {
    while (!over) {
      await identification(to)
        .then((said) => said === 'SSH-2.0-' || failures.push(said))
        .catch((error: unknown) => failures.push(error))
      count++
    }
  })()
  return async () => {
    over = true
    await visits
    return { count, failures }
  }
}

describe('hatchway restart', { timeout: TIMEOUT }, () => {
  it('a new gateway takes new connections, the old one keeps its own, and none is refused', async () => {
    const old = await gateway()
    const before = await login(old)
    const stop = visitor(old)
    const pid = await restart()
    const after = await login(old)
    const { count, failures } = await stop()
    expect(failures).toEqual([])
    expect(count).toBeGreaterThan(10)
    expect(await before.lives()).toBe(true)
    expect(await connectionsOf()).toEqual({ [old.pid]: 1, [pid]: 1 })
    const shown = await hatchway('connections')
    expect(shown.out).toMatch(/GATEWAY +VERSION\n/)
    expect(shown.out).toMatch(new RegExp(` ${old.pid} +[0-9.]+ \\(draining\\)`))
    expect((await hatchway('reload')).out.match(/reloaded, 3 keys may log in/g)).toHaveLength(2)

    // Each of the two ends its own.
    const ids = (await allConnections(socket)).flatMap(({ connections }) =>
      connections.map((each) => each.connectionId),
    )
    for (const id of ids) expect((await hatchway('kill', '--connection', id)).code).toBe(0)
    await until('both have ended', async () => !(await before.lives()) && !(await after.lives()))
    await until(
      'the old one is done',
      () => existsSync(socket) && readdirSync(folder).every((name) => name !== `c.sock.${old.pid}`),
    )
    expect(await connectionsOf()).toEqual({ [pid]: 0 })
    // Who started the first waits for it: it ends with the last one.
    expect(lives(old.pid)).toBe(true)
    expect(await old.stop(20_000)).toBe(0)
    await until('the new one has ended', () => !lives(pid))
    expect(readdirSync(folder)).toEqual(['hatchway.yaml'])
  })

  it('asked twice at once, and again and again, is one new gateway each time', async () => {
    const first = await gateway()
    const answers = await Promise.all([hatchway('restart'), hatchway('restart'), hatchway('restart')])
    const taken = new Set(
      answers.flatMap(({ out }) =>
        [...out.matchAll(/^gateway (\d+) .* has taken over/gm)].map(([, pid]) => Number(pid)),
      ),
    )
    for (const pid of taken) pids.add(pid)
    expect(answers.map(({ code }) => code)).toEqual([0, 0, 0])
    const second = await restart()
    const third = await restart()
    expect(await connectionsOf()).toEqual({ [third]: 0 })
    await until('what is not needed has ended', () => !lives(second) && ![...taken].some(lives))
    expect(await identification(first)).toBe('SSH-2.0-')
    expect(await first.stop(20_000)).toBe(0)
    await until('the last one has ended', () => !lives(third))
  })

  it('with a configuration that cannot be used the old one goes on, and says why', async () => {
    const old = await gateway()
    const open = await login(old)
    writeFileSync(config, 'limits: { maxSessions: -1 }\n')
    const { code, err } = await run(process.execPath, [MAIN, 'restart', '--control-socket', socket], {
      ...{ env: { HATCHWAY_CONFIG: '/dev/null' }, limit: 100_000 },
    }).then(({ code, stderr }) => ({ code, err: stderr.toString() }))
    expect(code).toBe(1)
    expect(err).toContain(`gateway ${old.pid}: the new gateway did not start, and this one goes on: `)
    expect(err).toContain('hatchway.yaml:1: limits.maxSessions: must be at least 0, got -1')
    expect(await open.lives()).toBe(true)
    expect(await identification(old)).toBe('SSH-2.0-')
    expect(readdirSync(folder).sort()).toEqual(['c.sock', 'hatchway.yaml'])
    expect(await connectionsOf()).toEqual({ [old.pid]: 1 })

    // And once it can be used again, the next one takes over.
    writeFileSync(config, CONFIG)
    const pid = await restart()
    expect(await connectionsOf()).toEqual({ [old.pid]: 1, [pid]: 0 })
  })

  it('with the program gone the old one goes on, and once it is there again the new one starts', async () => {
    // Beside the real one, so that it finds the packages.
    const main = join(MAIN, '..', `main-${process.pid}.js`)
    const away = `${main}.away`
    writeFileSync(main, `import './main.js'\n`)
    opened.push(() => rmSync(main, { force: true }))
    opened.push(() => rmSync(away, { force: true }))
    const old = await gateway({ main })
    renameSync(main, away)
    const failed = await hatchway('restart')
    expect(failed.code).toBe(1)
    expect(failed.err).toContain('this one goes on: it ended before it was ready')
    expect(await identification(old)).toBe('SSH-2.0-')
    renameSync(away, main)
    const pid = await restart()
    expect(await connectionsOf()).toEqual({ [pid]: 0 })
  })

  it('by SIGUSR2, also sent to the first of all; SIGHUP and SIGTERM reach the one that serves', async () => {
    const first = await gateway()
    const serving = () => /"successor":(\d+)/g
    const successors = () => [...first.log().matchAll(serving())].map(([, pid]) => Number(pid))
    process.kill(first.pid, 'SIGUSR2')
    const [second = 0] = await until('a second one serves', () => successors().length === 1 && successors())
    pids.add(second)
    process.kill(first.pid, 'SIGUSR2')
    const [, third = 0] = await until('a third one serves', () => successors().length === 2 && successors())
    pids.add(third)
    await until('the second has ended', () => !lives(second))
    const reloads = () =>
      first
        .log()
        .split('\n')
        .filter((line) => line.includes(`"pid":${third}`) || line.includes('keys reloaded')).length
    const before = reloads()
    process.kill(first.pid, 'SIGHUP')
    await until('the one that serves has read its files again', () => reloads() > before)
    process.kill(first.pid, 'SIGTERM')
    await until('all have ended', () => !lives(third))
    expect(await first.stop(20_000)).toBe(0)
  })

  it('SIGTERM to the first of all ends one in the middle, too, which goes on with its connections', async () => {
    const first = await gateway()
    const second = await restart()
    const open = await login(first)
    const third = await restart()
    expect(await open.lives()).toBe(true)
    process.kill(first.pid, 'SIGTERM')
    await until('all have ended', () => !lives(second) && !lives(third))
    expect(await first.stop(20_000)).toBe(0)
  })

  it('a stop while the new one starts stops both', async () => {
    const old = await gateway()
    const asked = hatchway('restart')
    await until('a new one is being started', () => old.log().includes('a new gateway is started'))
    process.kill(old.pid, 'SIGTERM')
    expect(await old.stop(20_000)).toBe(0)
    await asked
    await expect(identification(old)).rejects.toThrow()
    await sleep(500)
    await expect(identification(old)).rejects.toThrow()
  })

  it('the first of all fails where the one that serves was killed', async () => {
    const first = await gateway()
    const pid = await restart()
    process.kill(pid, 'SIGKILL')
    await until('the first has ended', () => !lives(first.pid))
    expect(await first.stop()).toBe(70)
  })

  it('fails where the one that serves does not answer, and that one does not do it later, either', async () => {
    const old = await gateway()
    const open = await login(old)
    const pid = await restart()
    process.kill(pid, 'SIGSTOP')
    const [restarted, drained] = await Promise.all([hatchway('restart'), hatchway('drain')])
    const silent = `hatchway: the gateway behind ${socket} does not answer within 5 s\n`
    expect(restarted).toMatchObject({ code: 1, err: silent })
    expect(drained).toMatchObject({ code: 1, err: silent })
    expect(drained.out).toContain(`gateway ${old.pid} takes no new connections: 1 connection goes on there\n`)
    process.kill(pid, 'SIGCONT')
    expect(await connectionsOf()).toEqual({ [old.pid]: 1, [pid]: 0 })
    expect(await identification(old)).toBe('SSH-2.0-')
    expect(old.log().match(/a new gateway is started/g)).toHaveLength(1)
    expect(await open.lives()).toBe(true)
  })

  it('after drain.limit the old one stops as after SIGTERM', async () => {
    writeFileSync(config, 'drain: { limit: 3s }\nshutdownGrace: 1s\n')
    const old = await gateway()
    const open = await login(old)
    const pid = await restart()
    expect(await open.lives()).toBe(true)
    await until('its connection was ended', async () => !(await open.lives()))
    expect(old.log()).toContain('"open":1,"msg":"drain.limit is over"')
    await until('it is no gateway any more', async () => !(old.pid in (await connectionsOf())))
    expect(await connectionsOf()).toEqual({ [pid]: 0 })
  })

  it('whoever watches the gateway asks the new one', async () => {
    const port = await freePort()
    writeFileSync(config, `metrics: { listen: '127.0.0.1:${port}' }\n`)
    const old = await gateway()
    const open = await login(old)
    const counted = async () => {
      const page = await fetch(`http://127.0.0.1:${port}/metrics`).then((answer) => answer.text())
      return Number(/^hatchway_connections\{state="logged_in"\} (\d+)$/m.exec(page)?.[1])
    }
    expect(await counted()).toBe(1)
    await restart()
    await until('the new one answers', () =>
      counted().then(
        (count) => count === 0,
        () => false,
      ),
    )
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200)
    expect(old.log()).not.toContain('"level":"error"')
    expect(await open.lives()).toBe(true)
  })

  it('what listen says now is listened on', async () => {
    const port = await freePort()
    // The option --listen of the first address stays; the second one is the file's.
    const old = await gateway({ args: ['--listen', `127.0.0.1:${port}`] })
    expect(await identification({ host: '127.0.0.1', port })).toBe('SSH-2.0-')
    await restart()
    expect(await identification(old)).toBe('SSH-2.0-')
    expect(await identification({ host: '127.0.0.1', port })).toBe('SSH-2.0-')
  })
})

describe('hatchway drain', { timeout: TIMEOUT }, () => {
  it('leaves the place of /metrics to a gateway that is started meanwhile', async () => {
    const port = await freePort()
    writeFileSync(config, `metrics: { listen: '127.0.0.1:${port}' }\n`)
    const old = await gateway()
    const open = await login(old)
    expect((await hatchway('drain')).code).toBe(0)
    await gateway()
    expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBeLessThan(504)
    expect(await open.lives()).toBe(true)
  })

  it('takes no new connections, goes on with those that are there, and ends with the last', async () => {
    const old = await gateway()
    const open = await login(old)
    expect(await hatchway('drain')).toEqual({
      ...{ code: 0, err: '', out: `gateway ${old.pid} takes no new connections: 1 connection goes on there\n` },
    })
    await expect(identification(old)).rejects.toThrow(/ECONNREFUSED/)
    const again = await hatchway('restart')
    expect(again).toMatchObject({
      code: 1,
      err: expect.stringMatching(
        /^hatchway: no gateway of yours takes new connections: .* serve, or systemctl start hatchway\n$/,
      ),
    })
    expect(await open.lives()).toBe(true)
    await open.end()
    await until('it has ended', () => !lives(old.pid))
    expect(await old.stop()).toBe(0)
  })
})

describe('sockets of a service manager', { timeout: TIMEOUT }, () => {
  let listener: Server
  let child: ChildProcess

  it('are what is listened on, whatever listen says, and go on to a new gateway', async () => {
    listener = createServer()
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
    const address = listener.address()
    const port = address !== null && typeof address === 'object' ? address.port : 0
    const args = ['serve', '--config', config, '--control-socket', socket, '--keys', join(folder, 'keys')]
    const options = ['--listen', '127.0.0.1:1', '--engine', 'docker', '--authorized-keys', keys.authorized]
    let log = ''
    child = spawn(
      'sh',
      ['-c', 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', 'sh', process.execPath, MAIN, ...args, ...options],
      {
        stdio: ['ignore', 'ignore', 'pipe', descriptorOf(listener)],
        env: { ...process.env, DOCKER_HOST: 'unix:///nonexistent.sock' },
      },
    )
    pids.add(child.pid ?? 0)
    opened.push(() => child.kill('SIGTERM'))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      log += text
    })
    await until('it listens', () => log.includes(`"port":${port},"msg":"listening"`))
    listener.close()
    expect(await identification({ host: '127.0.0.1', port })).toBe('SSH-2.0-')
    const pid = await restart()
    expect(await identification({ host: '127.0.0.1', port })).toBe('SSH-2.0-')
    expect(await connectionsOf()).toEqual({ [pid]: 0 })
    child.kill('SIGTERM')
    await until('both have ended', () => !lives(pid) && !lives(child.pid ?? 0))
  })
})
