/** What an operator sees and does at three in the morning, with the real commands and clients. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { docker, startContainer, type TestContainer } from '../support/containers.ts'
import { startDockerd } from '../support/dockerd.ts'
import { type Gateway, MAIN, startGateway } from '../support/gateway.ts'
import { freePort } from '../support/port.ts'
import { openTerminal } from '../support/pty.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient, type Target } from '../support/ssh.ts'
import { until as untilWithin } from '../support/wait.ts'

const LONG = 120_000
const until = <T>(what: string, ask: () => Promise<T | false | undefined> | T | false | undefined) =>
  untilWithin(what, ask, 40_000)
const CONNECTION = /^[0-9a-f]{16}$/
/** A time of today; of the day before, just after midnight, with its date and no seconds. */
const WHEN = / \d\d:\d\d(:\d\d)? /
const TEMPLATE = `t${process.pid}`
const CONFIG = `templates: { ${TEMPLATE}: { image: 'hatchway-busybox:latest', user: dev } }\n`

let dir: string
let keys: Keys
let container: TestContainer
let gateway: Gateway
const closers: (() => Promise<unknown>)[] = []

const socket = () => join(dir, 'control.sock')

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hw-test-operate-'))
  await writeFile(join(dir, 'c.yaml'), CONFIG)
  ;[keys, container] = await Promise.all([makeKeys(), startContainer('busybox')])
  gateway = await startGateway({
    ...{ keys, engine: 'docker', env: { HATCHWAY_CONFIG: join(dir, 'c.yaml') } },
    args: ['--control-socket', socket()],
  })
}, LONG)
afterAll(async () => {
  for (const close of closers.reverse()) await close()
  await gateway?.stop()
  const left = await docker('ps', '-aq', '--filter', `label=hatchway.template=${TEMPLATE}`)
  for (const id of left.split('\n').filter(Boolean)) await docker('rm', '-f', id)
  await Promise.all([keys?.close(), container?.remove(), rm(dir, { recursive: true, force: true })])
})

async function client(to: Gateway = gateway, change: Partial<Target> = {}, extra: string[] = []): Promise<SshClient> {
  const made = await makeSshClient({ ...to.target(`dev@${container.name}`), ...change }, extra)
  closers.push(() => made.close())
  return made
}

async function hatchway(...args: string[]) {
  const { code, stdout, stderr } = await run(process.execPath, [MAIN, ...args, '--control-socket', socket()], {
    limit: LONG,
  })
  return { code, out: stdout.toString(), err: stderr.toString() }
}

interface ConnectionJson {
  readonly connectionId: string
  readonly login: string
  readonly activeAt: number
  readonly bytesOut: number
  readonly sessions: readonly { readonly id: string }[]
  readonly forwards: readonly { readonly place: string }[]
  readonly listeners: readonly { readonly kind: string; readonly place: string }[]
}

async function connections(): Promise<ConnectionJson[]> {
  return JSON.parse((await hatchway('connections', '--json')).out)
}

type Line = Readonly<Record<string, unknown>>

function lines(of: Gateway, msg: string): Line[] {
  const all = of
    .log()
    .split('\n')
    .filter((text) => text.startsWith('{'))
  return all.map((text): Line => JSON.parse(text)).filter((line) => line.msg === msg)
}

async function fingerprint(key: string): Promise<string> {
  const { stdout } = await run('ssh-keygen', ['-lf', key])
  return stdout.toString().split(' ')[1] ?? ''
}

/** A program on a terminal that stays until it is killed. */
function onTerminal(of: SshClient, ...args: string[]) {
  const terminal = of.terminal(args)
  closers.push(async () => terminal.kill())
  return terminal
}

describe('log lines stand alone', () => {
  test(
    'of a session, from its start to its end, and of its connection',
    async () => {
      expect((await (await client()).exec('echo hello')).code).toBe(0)
      const whose = {
        connection: expect.stringMatching(CONNECTION),
        remote: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
        identity: 'hw-test-ed25519',
        fingerprint: await fingerprint(keys.ed25519),
      }
      const ended = await until('its end', () => lines(gateway, 'session ended').at(-1))
      expect(ended).toMatchObject({ ...whose, bytesOut: 6, durationMs: expect.any(Number) })
      expect(lines(gateway, 'session started').at(-1)).toMatchObject({ ...whose, connection: ended.connection })
      const gone = await until('the end of the connection', () => lines(gateway, 'disconnected').at(-1))
      expect(gone).toMatchObject({ ...whose, durationMs: expect.any(Number) })
    },
    LONG,
  )

  test(
    'a refused key is said at info, with its fingerprint and the address it came from',
    async () => {
      const key = join(dir, 'stranger')
      await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
      expect((await (await client(gateway, { key })).exec('true')).code).toBe(255)
      const print = await fingerprint(key)
      const line = await until('the line', () =>
        lines(gateway, 'not authenticated').find((each) => each.fingerprint === print),
      )
      expect(line).toMatchObject({
        level: 'info',
        connection: expect.stringMatching(CONNECTION),
        remote: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      })
    },
    LONG,
  )

  test(
    'so does a refusal after the proof, and what the client named is cut',
    async () => {
      await (await client(gateway, { user: `dev@${'x'.repeat(500)}` })).exec('true')
      const refused = () =>
        gateway
          .log()
          .split('\n')
          .find((text) => text.includes('"code":"CONTAINER_NOT_FOUND"'))
      const text = await until('the line', refused)
      expect(JSON.parse(text)).toMatchObject({
        connection: expect.stringMatching(CONNECTION),
        remote: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
        fingerprint: await fingerprint(keys.ed25519),
      })
      expect(gateway.log()).not.toContain('x'.repeat(201))
    },
    LONG,
  )

  test(
    'forwards and their listeners are opened and ended, with bytes',
    async () => {
      const port = await freePort()
      await container.inside(`nc -ll -p 7000 -e cat </dev/null >/dev/null 2>&1 &`)
      const forwarding = await client()
      const echoed = await forwarding.ssh(['-W', 'localhost:7000', 't'], { input: 'hello', limit: LONG })
      expect(echoed.stdout.toString()).toBe('hello')
      const facts = { forward: 'local', target: 'localhost:7000', container: container.name, user: 'dev' }
      const ended = await until('its end', () => lines(gateway, 'forward ended').at(-1))
      expect(ended).toMatchObject({ ...facts, bytesIn: 5, bytesOut: 5, durationMs: expect.any(Number) })
      expect(lines(gateway, 'forward opened').at(-1)).toMatchObject({ ...facts, connection: ended.connection })

      await forwarding.ssh(['-W', 'localhost:7009', 't'], { limit: LONG })
      const why = { ...facts, target: 'localhost:7009', reason: 'Connection refused' }
      expect(await until('why', () => lines(gateway, 'forward failed').at(-1))).toMatchObject(why)

      const remote = onTerminal(forwarding, '-N', '-R', `${port}:127.0.0.1:9`, 't')
      const bind = `localhost:${port}`
      await until('it listens', () => lines(gateway, 'listener opened').find((line) => line.bind === bind))
      remote.kill('SIGTERM')
      await until('it ends', () => lines(gateway, 'listener ended').find((line) => line.bind === bind))
    },
    LONG,
  )
})

describe('who is connected', () => {
  test(
    'every login, with what it is used for; idle from the last byte on',
    async () => {
      const port = await freePort()
      const sock = join(dir, 'agent.sock')
      const agent = spawn('ssh-agent', ['-D', '-a', sock], { stdio: 'ignore' })
      closers.push(async () => agent.kill())
      await until('the agent listens', () => existsSync(sock))
      const person = await client()
      const options = ['-tt', '-A', '-R', `${port}:127.0.0.1:9`, 't']
      const terminal = person.terminal(options, { env: { SSH_AUTH_SOCK: sock } })
      closers.push(async () => terminal.kill())
      terminal.send('echo rea""dy\n')
      await terminal.expect('ready', 20_000)
      const mine = async () => (await connections()).find(({ listeners }) => listeners.length === 2)
      const row = await until('both listen', mine)
      expect(row).toMatchObject({ login: `dev@${container.name}`, sessions: [{ id: expect.any(String) }] })
      expect(row.listeners.map(({ kind }) => kind).sort()).toEqual(['agent', 'remote'])
      expect(row.bytesOut).toBeGreaterThan(0)
      const table = (await hatchway('connections')).out
      expect(table).toMatch(/^ID +WHO +LOGIN +CONTAINER +FROM +SINCE +IDLE +IN +OUT +SESSIONS +/)
      const shown = row.connectionId.slice(0, 12)
      expect(table).toContain(shown)
      expect(table).toMatch(WHEN)
      terminal.send('echo ag""ain\n')
      await terminal.expect('again', 20_000)
      expect((await mine())?.activeAt).toBeGreaterThan(row.activeAt)

      const watching = openTerminal(process.execPath, [MAIN, 'connections', '--watch', '--control-socket', socket()])
      await watching.expect(shown, 20_000)
      await watching.expect(shown, 20_000)
      watching.send('\u0003')
      expect(await watching.exit(20_000)).toBeGreaterThan(0)

      // Its beginning is enough, and its user is told.
      expect(await hatchway('kill', '--connection', row.connectionId.slice(0, 6))).toMatchObject({
        code: 0,
        out: `connection ${row.connectionId} is being ended\n`,
      })
      await terminal.expect('session ended by the administrator', 20_000)
      expect(await terminal.exit(20_000)).toBe(255)
      expect(await until('it is gone', async () => (await mine()) === undefined)).toBe(true)
      const ofIt = (msg: string) => lines(gateway, msg).find(({ connection }) => connection === row.connectionId)
      expect(ofIt('authenticated')).toMatchObject({ container: container.name })
      expect(await until('its end', () => ofIt('disconnected'))).toMatchObject({
        reason: 'hatchway: connection ended by the administrator',
      })
    },
    LONG,
  )

  test(
    'one command ends several sessions, all of an identity, all in a container',
    async () => {
      const held = async (key: string) => {
        const before = new Set((await connections()).map(({ connectionId }) => connectionId))
        const terminal = onTerminal(await client(gateway, { key }), '-tt', 't')
        terminal.send('echo rea""dy\n')
        await terminal.expect('ready', LONG)
        const row = (await connections()).find(({ connectionId }) => !before.has(connectionId))
        return { terminal, session: row?.sessions[0]?.id ?? '' }
      }
      const [one, two] = [await held(keys.ed25519), await held(keys.ed25519)]
      const [theirs, last] = [await held(keys.rsa), await held(keys.ecdsa)]
      expect(await hatchway('kill', one.session, two.session)).toMatchObject({ code: 0 })
      expect([await one.terminal.exit(LONG), await two.terminal.exit(LONG)]).toEqual([255, 255])
      expect(await hatchway('kill', '--identity', 'hw-test-rsa')).toMatchObject({ code: 0 })
      expect(await theirs.terminal.exit(LONG)).toBe(255)
      expect((await connections()).map(({ sessions }) => sessions[0]?.id)).toContain(last.session)
      expect(await hatchway('kill', '--container', container.name)).toMatchObject({ code: 0 })
      expect(await last.terminal.exit(LONG)).toBe(255)
      expect(await hatchway('kill', '--identity', 'nobody', 'ffffffff')).toMatchObject({ code: 1, out: '' })
      // When it was, for each that ended.
      const [head = '', ...rows] = (await hatchway('sessions', '--all')).out.trim().split('\n')
      expect(head).toMatch(/STARTED +ENDED/)
      expect(rows.find((row) => row.startsWith(last.session))).toMatch(/SESSION_KILLED .*:\d\d +\d{4}-/)
    },
    LONG,
  )
})

test(
  'ls says to the operator whose a personal container is',
  async () => {
    expect((await (await client(gateway, { user: `dev@~${TEMPLATE}` })).exec('true', { limit: LONG })).code).toBe(0)
    const list = await run(process.execPath, [MAIN, 'ls', '--json'], { limit: LONG })
    const rows: { name: string; owner?: string }[] = JSON.parse(list.stdout.toString())
    expect(rows.find(({ name }) => name.startsWith(`hatchway-${TEMPLATE}-`))?.owner).toBe('hw-test-ed25519')
    expect(rows.find(({ name }) => name === container.name)).not.toHaveProperty('owner')
  },
  LONG,
)

test(
  'a shutdown says so to each terminal when the grace begins, and to nothing else',
  async () => {
    const own = await startGateway({ keys, engine: 'docker', env: { HATCHWAY_CONFIG: '/dev/null' } })
    closers.push(() => own.stop())
    const [terminal, plain] = [onTerminal(await client(own), '-tt', 't'), (await client(own)).exec('read line; exit 7')]
    terminal.send('echo rea""dy\n')
    await terminal.expect('ready', LONG)
    await until('both run', () => lines(own, 'session started').length === 2)
    process.kill(own.pid, 'SIGTERM')
    await terminal.expect('hatchway: the gateway is shutting down: this session ends in 30 seconds', LONG)
    terminal.send('exit 3\n')
    expect(await terminal.exit(LONG)).toBe(3)
    expect((await plain).stderr.toString()).toBe('')
  },
  LONG,
)

describe.skipIf(process.getuid?.() !== 0)('as root', () => {
  test(
    'a restart of the engine says so to each terminal, while its containers are still given time',
    async () => {
      const dockerd = await startDockerd({ liveRestore: false })
      closers.push(() => dockerd.close())
      const name = `hw-test-restart-${process.pid}`
      const stay = ['--network', 'none', '--stop-timeout', '8', 'hatchway-busybox:latest', 'sh', '-c', 'sleep 1000']
      await dockerd.control('run', '-d', '--name', name, ...stay)
      const own = await startGateway({
        ...{ keys, engine: 'docker' },
        env: { HATCHWAY_CONFIG: '/dev/null', DOCKER_HOST: dockerd.endpoint },
      })
      closers.push(() => own.stop())
      const terminal = onTerminal(await client(own, { user: `dev@${name}` }), '-tt', 't')
      terminal.send('echo rea""dy\n')
      await terminal.expect('ready', LONG)
      const stopping = dockerd.stop('SIGTERM')
      await terminal.expect(
        'hatchway: the container engine has gone away, perhaps to restart: this session may end',
        LONG,
      )
      await terminal.exit(LONG)
      await stopping
      await until('the log says so', () => own.log().includes('the engine went away'))
      await dockerd.start()
      await until('and that it is back', () => lines(own, 'the engine is back').length === 1)
    },
    LONG,
  )

  test(
    'sessions, kill, reload and doctor find the gateway of the unit',
    async () => {
      // A /run/hatchway of this test's own, where the unit's user keeps everybody else out.
      const state = await mkdtemp(join(tmpdir(), 'hw-test-unit-'))
      const port = await freePort()
      const config = join(state, 'c.yaml')
      await writeFile(config, `listen: ['127.0.0.1:${port}']\nauthorizedKeys: [${keys.authorized}]\n`)
      const script = `mkdir -p /run/hatchway && mount -t tmpfs -o mode=0700,uid=65534 tmpfs /run/hatchway && exec "$@"`
      const serve = [process.execPath, MAIN, 'serve', '--config', config, '--keys', join(state, 'keys')]
      const unit = openTerminal('unshare', [
        ...['-m', 'sh', '-c', script, 'sh', ...serve, '--control-socket', '/run/hatchway/control.sock'],
      ])
      closers.push(async () => {
        unit.kill('SIGTERM')
        await unit.exit(LONG)
        await rm(state, { recursive: true, force: true })
      })
      await unit.expect('listening', LONG)
      const asRoot = async (...args: string[]) => {
        const inside = ['-m', '-t', String(unit.pid), process.execPath, MAIN, ...args, '--config', config]
        const { code, stdout, stderr } = await run('nsenter', inside, { limit: LONG })
        return { code, out: stdout.toString(), err: stderr.toString() }
      }
      const person = onTerminal(
        await client({ ...gateway, target: (user) => ({ ...gateway.target(user), port }) }),
        '-tt',
        't',
      )
      person.send('echo rea""dy\n')
      await person.expect('ready', LONG)
      const [session] = JSON.parse((await asRoot('sessions', '--json')).out).filter(
        ({ gateway: pid }: { gateway: number }) => pid === unit.pid,
      )
      expect(session).toMatchObject({ container: { name: container.name } })
      expect((await asRoot('connections')).out).toContain(session.connectionId.slice(0, 12))
      expect(await asRoot('reload')).toMatchObject({
        code: 0,
        out: expect.stringContaining('reloaded, 3 keys may log in'),
      })
      const doctor = (await asRoot('doctor')).out
      expect(doctor).toContain(`127.0.0.1:${port} is where your gateway listens (pid ${unit.pid})`)
      expect(await asRoot('kill', session.id)).toMatchObject({ code: 0 })
      expect(await person.exit(LONG)).toBe(255)
    },
    LONG,
  )
})
