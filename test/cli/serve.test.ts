/** The gateway as a process: start, control, log, end. */
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { loadHostKeys } from '../../src/auth/hostkeys.ts'
import { allSessions } from '../../src/control/client.ts'
import { sharedHostKeys } from '../run/shared.ts'
import { startContainer, type TestContainer, testMark } from '../support/containers.ts'
import { type Gateway, MAIN, startGateway } from '../support/gateway.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'
import { until as untilWithin } from '../support/wait.ts'

/** Each test starts several programs; a busy machine takes seconds for each. */
const TIMEOUT = 120_000
const until = <T>(what: string, ask: () => Promise<T | false | undefined> | T | false | undefined) =>
  untilWithin(what, ask, 40_000)

let directory: string
let keys: Keys
let container: TestContainer
const opened: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'hw-test-serve-'))
  chmodSync(directory, 0o755)
  // Made once, where the run has none: an RSA key takes a second.
  const made = sharedHostKeys()
  if (made !== undefined) await cp(made, join(directory, 'keys'), { recursive: true })
  await loadHostKeys({ keysDirectory: join(directory, 'keys'), hostKeys: [] }, () => {})
  keys = await makeKeys()
  container = await startContainer('busybox')
})
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})
afterAll(async () => {
  await container?.remove()
  await keys?.close()
  rmSync(directory, { recursive: true })
})

async function gateway(args: readonly string[] = [], env: Record<string, string> = {}): Promise<Gateway> {
  const started = await startGateway({
    keys,
    engine: 'docker',
    guest: 'off',
    args: ['--keys', join(directory, 'keys'), '--control-socket', socket(), ...args],
    env: { HATCHWAY_CONFIG: '/dev/null', ...env },
  })
  opened.push(() => started.stop())
  return started
}

async function client(to: Gateway): Promise<SshClient> {
  const made = await makeSshClient(to.target(container.name))
  opened.push(() => made.close())
  return made
}

function socket(): string {
  return join(directory, 'control.sock')
}

async function hatchway(...args: string[]) {
  const { code, stdout, stderr } = await run(process.execPath, [MAIN, ...args, '--control-socket', socket()])
  return { code, out: stdout.toString(), err: stderr.toString() }
}

/** Asked from here: a process for each question would make the suite slow. */
async function sessions(all = false) {
  return (await allSessions(socket(), all)).flatMap((gateway) => gateway.sessions)
}

function lines(log: string): Record<string, unknown>[] {
  return log
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
}

describe('hatchway serve', { timeout: TIMEOUT }, () => {
  it('prints the fingerprints that ssh-keyscan finds, and the command to type', async () => {
    const running = await gateway()
    const keyscan = await run('ssh-keyscan', ['-p', String(running.port), running.host])
    const scanned = (await run('ssh-keygen', ['-lf', '-'], { input: keyscan.stdout })).stdout.toString()
    const printed = lines(running.log()).filter(({ msg }) => msg === 'host key')
    expect(printed.map(({ type }) => type)).toEqual(['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-rsa'])
    for (const { fingerprint } of printed) expect(scanned).toContain(fingerprint)
    const command = `"command":"ssh -o UserKnownHostsFile=${directory}/keys/known_hosts -p ${running.port} `
    await until('the command', () => running.log().includes(command))
  })

  it('starts without the banner that cannot be read, and says so', async () => {
    const running = await gateway([], { HATCHWAY_BANNER: '/nonexistent' })
    expect(lines(running.log())).toContainEqual(
      expect.objectContaining({ level: 'warn', file: '/nonexistent', msg: 'the banner cannot be read: none is shown' }),
    )
    expect((await (await client(running)).exec('true')).code).toBe(0)
  })

  it('does not start with a certificate of another key: a sentence names the file, and no stack', async () => {
    const env = { ...process.env, HATCHWAY_CONFIG: '/dev/null', HATCHWAY_HOST_CERTIFICATES: `${keys.ed25519}.pub` }
    const args = ['serve', '--listen', '127.0.0.1:0', '--keys', join(directory, 'keys')]
    const { code, stdout, stderr } = await run(process.execPath, [MAIN, ...args], { env })
    expect(code).toBe(2)
    const said = `${stdout}${stderr}`
    expect(said).toContain(`host certificate ${keys.ed25519}.pub cannot be used: it belongs to none of the host keys`)
    expect(said).not.toMatch(/\n\s+at /)
  })

  it('lists a live session without its command, with it when asked, and ends it by id', async () => {
    const running = await gateway()
    const mark = testMark()
    const ssh = (await client(running)).exec(`echo ${mark}; exec sleep 60`, { limit: TIMEOUT })
    const [session] = await until('the session runs', async () => {
      const list = await sessions()
      return list[0]?.state === 'running' && Number(list[0]?.bytesOut) > 0 && list
    })
    expect(session).toMatchObject({
      identity: { name: 'hw-test-ed25519' },
      container: { name: container.name },
      user: 'root',
      start: 'exec',
      tty: false,
      bytesOut: mark.length + 1,
    })
    const [plain, withCommands] = await Promise.all([
      hatchway('sessions', '--json'),
      hatchway('sessions', '--commands'),
    ])
    expect(plain.out).toContain(session?.id)
    expect(plain.out).not.toContain('sleep 60')
    expect(withCommands.out).toContain('sleep 60')
    expect(await hatchway('kill', String(session?.id))).toMatchObject({ code: 0 })
    const { code, stderr } = await ssh
    expect([code, stderr.toString()]).toEqual([255, 'hatchway: session ended by the administrator\n'])
    expect(await sessions()).toEqual([])
    expect(await sessions(true)).toMatchObject([
      { id: session?.id, state: 'stopped', end: { failure: 'SESSION_KILLED' } },
    ])
    expect(running.log()).not.toContain('sleep 60')
  })

  it('on SIGTERM lets sessions end, takes no new ones, and exits 0', async () => {
    const running = await gateway()
    const ssh = await client(running)
    const session = ssh.exec('until [ -e /tmp/over ]; do sleep 0.1; done; rm /tmp/over; exit 7', { limit: TIMEOUT })
    await until('the session runs', async () => (await sessions())[0]?.state === 'running')
    process.kill(running.pid, 'SIGTERM')
    await until('draining', () => running.log().includes('"draining"'))
    expect((await ssh.exec('true')).code).toBe(255)
    await container.inside('touch /tmp/over')
    expect((await session).code).toBe(7)
    expect(await running.stop(60_000)).toBe(0)
  })

  it('ends at once on a second SIGTERM, and tells the user why', async () => {
    const running = await gateway()
    const session = (await client(running)).exec('exec sleep 61', { limit: TIMEOUT })
    await until('the session runs', async () => (await sessions())[0]?.state === 'running')
    process.kill(running.pid, 'SIGTERM')
    await until('draining', () => running.log().includes('"draining"'))
    expect(await running.stop(60_000)).toBe(0)
    const { code, stderr } = await session
    expect(code).toBe(255)
    expect(stderr.toString()).toContain('the gateway is shutting down')
    await until(
      'nothing of it is left inside',
      async () => (await container.inside('ps | grep "sleep [6]1"')).stdout.length === 0,
    )
  })

  it('ends sessions when the grace is over', async () => {
    const running = await gateway([], { HATCHWAY_SHUTDOWN_GRACE: '500ms' })
    const session = (await client(running)).exec('exec sleep 60', { limit: TIMEOUT })
    await until('the session runs', async () => (await sessions())[0]?.state === 'running')
    expect(await running.stop(60_000)).toBe(0)
    expect((await session).code).toBe(255)
  })

  it('reads keys and opens its log anew on SIGHUP', async () => {
    const file = join(directory, 'gateway.log')
    // The listening line goes to the file: its port is asked over the control socket.
    const started = run(
      process.execPath,
      [
        MAIN,
        'serve',
        '--listen',
        '127.0.0.1:0',
        '--keys',
        join(directory, 'keys'),
        '--guest',
        'off',
        '--control-socket',
        socket(),
      ],
      { env: { HATCHWAY_CONFIG: '/dev/null', HATCHWAY_LOG_FILE: file, HATCHWAY_LOG_LEVEL: 'debug' }, limit: TIMEOUT },
    )
    const log = () => lines(readFileSync(file, 'utf8'))
    const pid = await until('it listens', () => {
      try {
        return log().some(({ msg }) => msg === 'control socket') && Number(log()[0]?.pid)
      } catch {
        return false
      }
    })
    await run('mv', [file, `${file}.1`])
    process.kill(pid, 'SIGHUP')
    await until('the new file', () => statSync(file, { throwIfNoEntry: false }) !== undefined)
    await until('keys are read', () => log().some(({ msg }) => msg === 'configuration and keys reloaded'))
    process.kill(pid, 'SIGINT')
    expect((await started).code).toBe(0)
  })

  it('serves sessions with its log on a full disk', async () => {
    const control = socket()
    const child = run(
      process.execPath,
      [MAIN, 'serve', '--listen', '127.0.0.1:0', '--keys', join(directory, 'keys'), '--guest', 'off'].concat([
        '--engine',
        'docker',
        '--authorized-keys',
        keys.authorized,
        '--control-socket',
        control,
      ]),
      { env: { HATCHWAY_CONFIG: '/dev/null', HATCHWAY_LOG_FILE: '/dev/full' }, limit: TIMEOUT },
    )
    const status = await until('it listens', () => askStatus(control).catch(() => undefined))
    const ssh = await makeSshClient({ host: '127.0.0.1', port: status.port, user: container.name, key: keys.ed25519 })
    opened.push(() => ssh.close())
    for (let i = 0; i < 3; i++) expect((await ssh.exec('echo works')).stdout.toString()).toBe('works\n')
    process.kill(status.pid, 'SIGTERM')
    const { code, stderr } = await child
    expect(code).toBe(0)
    expect(stderr.toString()).toMatch(/^hatchway: the log \/dev\/full cannot be written \(ENOSPC[^\n]*\n$/)
  })

  it('says which address it cannot have, and exits 2', async () => {
    const running = await gateway()
    const second = await run(
      process.execPath,
      [MAIN, 'serve', '--listen', `127.0.0.1:${running.port}`, '--keys', join(directory, 'keys'), '--guest', 'off'],
      { env: { HATCHWAY_CONFIG: '/dev/null' } },
    )
    expect(second.code).toBe(2)
    expect(second.stderr.toString()).toMatch(/hatchway: cannot listen: .*EADDRINUSE.*sport = :\d+.*--listen/)
  })
})

describe('hatchway connect', { timeout: TIMEOUT }, () => {
  it('goes to the gateway that runs, and stays longer than it may dial', async () => {
    const running = await gateway()
    const proxy = `${process.execPath} ${MAIN} connect %h --gateway ${running.host}:${running.port}`
    const target = { host: container.name, port: 22, user: 'dev', key: keys.ed25519 }
    const ssh = await makeSshClient(target, [`ProxyCommand ${proxy}`])
    opened.push(() => ssh.close())
    const { code, stdout } = await ssh.exec('sleep 11; id -un; exit 6', { limit: 40_000 })
    expect([code, stdout.toString()]).toEqual([6, 'dev\n'])
  })
})

describe('hatchway stdio', { timeout: TIMEOUT }, () => {
  it('says its identification before anything can fail, once, and what failed to stderr', async () => {
    const { code, stdout, stderr } = await run(process.execPath, [MAIN, 'stdio', '--guest', 'perhaps'])
    expect([code, stdout.toString()]).toEqual([2, 'SSH-2.0-OpenSSH_compatible_Hatchway\r\n'])
    expect(stderr.toString()).toMatch(/^hatchway: --guest: .*\n$/)
    const flags = ['--keys', join(directory, 'keys'), '--authorized-keys', keys.authorized]
    const served = await run(process.execPath, [MAIN, 'stdio', ...flags], { input: 'SSH-2.0-test\r\n' })
    expect(served.stdout.toString('latin1').split('SSH-2.0-')).toHaveLength(2)
    expect(served.stdout.toString('latin1')).toContain('curve25519-sha256')
  })

  it.each([
    ['SSH 1', 'SSH-1.5-old\r\n', 'Invalid SSH identification string.\r\n'],
    ['another language', 'GET / HTTP/1.1\r\n\r\n', 'Invalid SSH identification string.\r\n'],
    ['nothing', '', ''],
  ])('exits 255, as sshd -i, where the client speaks %s', async (_what, input, answer) => {
    const flags = ['--keys', join(directory, 'keys'), '--authorized-keys', keys.authorized]
    const { code, stdout, stderr } = await run(process.execPath, [MAIN, 'stdio', ...flags], { input })
    expect({ code, out: stdout.toString(), err: stderr.toString() }).toEqual({
      code: 255,
      out: `SSH-2.0-OpenSSH_compatible_Hatchway\r\n${answer}`,
      err: '',
    })
  })

  it('exits 255 where the client is not let in, and 0 where it was', async () => {
    const status = join(directory, 'status')
    const stranger = await makeKeys()
    const flags = `--keys ${join(directory, 'keys')} --authorized-keys ${keys.authorized} --engine docker`
    // OpenSSH's client ends its ProxyCommand by SIGHUP.
    const command = `sh -c 'trap : HUP; ${process.execPath} ${MAIN} stdio ${flags}; echo $? > ${status}'`
    const proxy = [`ProxyCommand ${command}`]
    const right = await makeSshClient({ host: 'x', port: 22, user: container.name, key: keys.ed25519 }, proxy)
    const wrong = await makeSshClient({ host: 'x', port: 22, user: container.name, key: stranger.ed25519 }, proxy)
    opened.push(
      () => right.close(),
      () => wrong.close(),
      () => stranger.close(),
    )
    const ended = async (code: string) => {
      await until('it ended', async () => existsSync(status) && readFileSync(status, 'utf8') === `${code}\n`)
      rmSync(status)
    }
    expect((await right.exec('exit 3')).code).toBe(3)
    await ended('0')
    expect((await wrong.exec('true')).code).toBe(255)
    await ended('255')
  })

  it('leaves nothing inside when the client is killed', async () => {
    const flags = `--keys ${join(directory, 'keys')} --authorized-keys ${keys.authorized} --engine docker --guest off`
    const target = { host: 'anything', port: 22, user: container.name, key: keys.ed25519 }
    const ssh = await makeSshClient(target, [`ProxyCommand ${process.execPath} ${MAIN} stdio ${flags}`])
    opened.push(() => ssh.close())
    const inside = async () => (await container.inside('ps | grep "sleep [6]2"')).stdout.length > 0
    const child = spawn('ssh', ['-F', ssh.config, 't', 'exec sleep 62'], { stdio: 'ignore' })
    const ended = new Promise((resolve) => child.once('exit', resolve))
    await until('it runs inside', inside)
    child.kill('SIGKILL')
    await ended
    await until('it is gone', async () => !(await inside()))
  })

  it('serves one connection as a ProxyCommand, and ends with it', async () => {
    const flags = `--keys ${join(directory, 'keys')} --authorized-keys ${keys.authorized} --engine docker --guest off`
    const target = { host: 'anything', port: 22, user: container.name, key: keys.ed25519 }
    const ssh = await makeSshClient(target, [`ProxyCommand ${process.execPath} ${MAIN} stdio ${flags}`])
    opened.push(() => ssh.close())
    const { code, stdout, stderr } = await ssh.exec('cat; exit 5', { input: 'through stdio' })
    expect([code, stdout.toString(), stderr.toString()]).toEqual([5, 'through stdio', ''])
    await until('no process is left', async () => (await run('pgrep', ['-f', `stdio ${flags}`])).code === 1)
  })
})

async function askStatus(path: string): Promise<{ pid: number; port: number }> {
  const { request } = await import('node:http')
  return new Promise((resolve, reject) => {
    request({ socketPath: path, path: '/status' }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => {
        text += part
      })
      response.on('end', () => {
        const { pid, endpoints } = JSON.parse(text)
        resolve({ pid, port: endpoints[0].port })
      })
    })
      .on('error', reject)
      .end()
  })
}
