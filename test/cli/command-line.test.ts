/** The built program as a person runs it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { docker, startContainer, type TestContainer } from '../support/containers.ts'
import { MAIN } from '../support/gateway.ts'
import { openTerminal } from '../support/pty.ts'
import { run } from '../support/run.ts'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'hw-test-cli-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

async function hatchway(args: readonly string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await run(process.execPath, [MAIN, ...args], {
    env: { HOME: directory, HATCHWAY_CONFIG: '/dev/null', ...env },
  })
  return { code, out: stdout.toString(), err: stderr.toString() }
}

describe('hatchway config', () => {
  it('check is content with the file that is shipped', async () => {
    expect(await hatchway(['config', 'check', '--config', 'config/hatchway.yaml'])).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^warning: .*there are no rules.*\nconfig\/hatchway.yaml: good\n$/),
    })
  })

  it('check names each problem on a line of its own and exits 2', async () => {
    const file = join(directory, 'bad.yaml')
    writeFileSync(file, 'listen: x\nlimits:\n  maxSessions: -1\n')
    expect(await hatchway(['config', 'check', '--config', file])).toEqual({
      code: 2,
      out: '',
      err:
        `hatchway: ${file}:1: listen: expected a list, got "x"\n` +
        `hatchway: ${file}:3: limits.maxSessions: must be at least 0, got -1\n`,
    })
  })

  it('example is the shipped file, schema is JSON Schema', async () => {
    expect((await hatchway(['config', 'example'])).out).toBe(readFileSync('config/hatchway.yaml', 'utf8'))
    expect(JSON.parse((await hatchway(['config', 'schema'])).out)).toMatchObject({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      additionalProperties: false,
    })
  })
})

describe('what cannot be done', () => {
  it.each([
    [['sessions', '--control-socket', '/nonexistent.sock'], 1, /^hatchway: no gateway of yours is running/],
    [['kill', 'x y', '--control-socket', '/nonexistent.sock'], 1, /is no session id/],
    [['serve', '--listen', 'nowhere'], 2, /^hatchway: --listen: listen.0: expected HOST:PORT/],
    [['serve', '--guest', 'perhaps'], 2, /^hatchway: --guest: guest: expected one of auto, off, require/],
    [['ls', '--engine', 'cli', '--config', '/nonexistent.yaml'], 2, /nonexistent\.yaml: cannot be read/],
    [['nonsense'], 1, /unknown command/],
    [['connect', 'web', '--gateway', 'nowhere'], 2, /--gateway: expected HOST:PORT/],
    [['connect', 'we b', '--gateway', '127.0.0.1:1'], 255, /no name of a container/],
  ])('%j is told in one line, exit %i', async (args, code, message) => {
    const result = await hatchway(args)
    expect(result).toMatchObject({ code, out: '', err: expect.stringMatching(message) })
    expect(result.err).not.toContain('    at ')
  })

  it('ls without an engine says so', async () => {
    const { code, err } = await hatchway(['ls', '--engine', 'docker'], { DOCKER_HOST: 'unix:///nonexistent.sock' })
    expect(code).toBe(255)
    expect(err).toMatch(/^hatchway: .*nonexistent\.sock.*\n$/)
  })
})

describe('hatchway ls', () => {
  let container: TestContainer
  beforeAll(async () => {
    container = await startContainer('busybox', {
      args: ['-p', '8080', '-p', '127.0.0.1::53/udp', '-v', '/srv:/data:ro', '--label', 'team=\u001b[31mred'],
    })
  })
  afterAll(() => container?.remove())

  it.each(['docker', 'cli'])('shows image, state, ports, volumes, labels as JSON (%s)', async (engine) => {
    const { out } = await hatchway(['ls', '--json', '--engine', engine])
    const rows: Record<string, unknown>[] = JSON.parse(out)
    expect(rows.find(({ id }) => id === container.id)).toMatchObject({
      name: container.name,
      image: 'hatchway-busybox:latest',
      state: 'running',
      status: expect.stringMatching(/^Up /),
      ports: [expect.stringMatching(/^localhost:\d+->53\/udp$/), expect.stringMatching(/^\d+->8080\/tcp$/)],
      volumes: ['/srv:/data:ro'],
      labels: { team: '\u001b[31mred' },
      warnings: [],
    })
  })

  it.each([40, 80])('keeps to a terminal of %i columns', async (cols) => {
    const env = { HOME: directory, HATCHWAY_CONFIG: '/dev/null' }
    const terminal = openTerminal(process.execPath, [MAIN, 'ls', '--wide'], { cols, env })
    expect(await terminal.exit()).toBe(0)
    const lines = terminal.output().split('\r\n')
    expect(lines[0]).toMatch(/^NAME +STATE /)
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(cols)
  })

  it('does not let a label write to the terminal', async () => {
    const { out } = await hatchway(['ls', '--running', '--wide'])
    expect(out).toMatch(/^NAME +STATE +(OWNER +)?IMAGE/)
    const row = out.split('\n').find((line) => line.startsWith(container.name))
    expect(row).toContain('team=\\x1b[31mred')
    expect(out).not.toContain('\u001b')
  })
})

describe('hatchway doctor', () => {
  async function findings(args: readonly string[], env: Record<string, string> = {}) {
    const { code, out } = await hatchway(['doctor', '--json', '--keys', join(directory, 'keys'), ...args], env)
    const list: { check: string; state: string; found: string; advice?: string }[] = JSON.parse(out)
    return { code, of: (check: string) => list.find((finding) => finding.check === check) }
  }

  it('finds engine, keys and natives in order, and changes nothing', async () => {
    const { code, of } = await findings(['--listen', '127.0.0.1:0', '--guest', 'off'])
    expect(code).toBe(0)
    expect(of('engine')).toMatchObject({ state: 'ok', found: expect.stringContaining('docker') })
    expect(
      ['node', 'config', 'login keys', 'host keys', 'port', 'crypto', 'node-pty'].map((c) => of(c)?.state),
    ).toEqual(Array(7).fill('ok'))
    const { code: missing } = await run('ls', [join(directory, 'keys')])
    expect(missing).not.toBe(0)
  })

  it('has a hint that fits a container that is stopped, and a user who is not there', async () => {
    const container = await startContainer('busybox')
    try {
      const user = await findings([`nobodyhere@${container.name}`])
      expect(user.of('helper in')).toMatchObject({ state: 'fail', advice: expect.stringContaining('/etc/passwd') })
      await docker('stop', '-t', '0', container.id)
      const stopped = await findings([container.name])
      expect(stopped.of('helper in')).toMatchObject({
        state: 'fail',
        found: expect.stringContaining('is stopped'),
        advice: expect.stringContaining('start it'),
      })
    } finally {
      await container.remove()
    }
  })

  it('says what to do when the engine is away, the port taken, the keys unusable', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => taken.once('listening', resolve))
    const address = taken.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const keys = join(directory, 'authorized_keys')
    writeFileSync(keys, 'garbage\n')
    const args = ['--engine', 'docker', '--listen', `127.0.0.1:${port}`, '--authorized-keys', keys]
    const { code, of } = await findings(args, { DOCKER_HOST: 'unix:///nonexistent.sock' })
    taken.close()
    expect(code).toBe(1)
    expect(of('engine')).toMatchObject({
      state: 'fail',
      advice: expect.stringContaining('no socket at /nonexistent.sock'),
    })
    expect(of('port')).toMatchObject({ state: 'fail', advice: expect.stringContaining(`sport = :${port}`) })
    expect(of('login keys')).toMatchObject({ state: 'fail', advice: expect.stringContaining('public key') })
  })
})
