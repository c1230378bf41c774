/** `hatchway config-ssh`, then plain `ssh dev@NAME`, with the real client and a home of its own: issue 8, points 3 and 4. */
import { spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadHostKeys } from '../../src/auth/hostkeys.ts'
import { docker, startContainer, type TestContainer, testName } from '../support/containers.ts'
import { type Gateway, MAIN, startGateway } from '../support/gateway.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys } from '../support/ssh.ts'
import { startSshd } from '../support/sshd.ts'
import { until } from '../support/wait.ts'

// Many containers of other tests make it slow; no promise is about its time.
describe('config-ssh', { timeout: 120_000 }, () => {
  let keys: Keys
  let gateway: Gateway
  let web: TestContainer
  let home: string
  let config: string
  let state: string
  const mine = '# mine\nHost real\n  HostName 192.0.2.1\n  User somebody\n'

  beforeAll(async () => {
    keys = await makeKeys()
    home = await mkdtemp(join(tmpdir(), 'hw-test-home-'))
    state = join(home, 'state')
    await mkdir(join(home, '.ssh'), { mode: 0o700 })
    // As a person has it: a key of a usual name, and a configuration of their own.
    for (const name of ['id_ed25519', 'id_ed25519.pub']) {
      await cp(keys.ed25519 + name.slice('id_ed25519'.length), join(home, '.ssh', name))
    }
    config = join(home, '.ssh', 'config')
    await writeFile(config, mine, { mode: 0o600 })
    // Its host keys are the person's alone, for a gateway that runs and for one that is started for a connection: what has
    // the same host key is taken for one's own, and other tests' gateways share theirs.
    await mkdir(state, { mode: 0o700 })
    await loadHostKeys({ hostKeys: [], keysDirectory: state }, () => {})
    gateway = await startGateway({ keys, engine: 'docker', args: ['--keys', state] })
    web = await startContainer('debian', { name: testName('web'), args: ['--hostname', 'hw-web'] })
  })
  const after: (() => Promise<unknown>)[] = []
  afterAll(async () => {
    for (const close of after) await close()
    await gateway?.stop()
    await web?.remove()
    await keys?.close()
    if (home) await rm(home, { recursive: true, force: true })
  })

  const env = () => ({ HOME: home, SSH_AUTH_SOCK: '', XDG_CACHE_HOME: join(home, 'cache') })
  const flags = (port: number) => [
    ...['--keys', state, '--authorized-keys', keys.authorized, '--engine', 'docker'],
    ...['--listen', `127.0.0.1:${port}`],
  ]
  const configSsh = async (args: string[], port = gateway.port) => {
    const result = await run(process.execPath, [MAIN, 'config-ssh', ...flags(port), ...args], {
      env: env(),
      limit: 60_000,
    })
    return { code: result.code, out: result.stdout.toString(), err: result.stderr.toString() }
  }
  // ssh takes the home directory from passwd: the file is named, and so is the key. Nothing else.
  const named = () => ['-F', config, '-i', join(home, '.ssh', 'id_ed25519'), '-o', 'BatchMode=yes']
  const client = async (program: string, ...args: string[]) => {
    const result = await run(program, [...named(), ...args], { env: env(), limit: 60_000 })
    return { code: result.code, out: result.stdout.toString(), err: result.stderr.toString() }
  }

  test('--dry-run shows the difference and changes nothing', async () => {
    const { code, out } = await configSsh(['--dry-run'])
    expect(code).toBe(0)
    expect(out).toContain(`+Host ${web.name}`)
    expect(out).toContain(`+Include "${join(home, '.ssh', 'hatchway', 'config')}"`)
    expect(out).not.toContain('-Host real')
    expect(await readFile(config, 'utf8')).toBe(mine)
    await expect(stat(join(home, '.ssh', 'hatchway'))).rejects.toThrow('ENOENT')
  })

  test('without consent the person’s own file stays as it is', async () => {
    const { code, err } = await configSsh([])
    expect([code, err]).toEqual([1, expect.stringContaining('stays as it is')])
    expect(await readFile(config, 'utf8')).toBe(mine)
  })

  test('with it, one line goes in, once', async () => {
    for (let i = 0; i < 2; i++) expect((await configSsh(['--yes'])).code).toBe(0)
    const text = await readFile(config, 'utf8')
    expect(text.match(/Include/g)).toHaveLength(1)
    expect(text.endsWith(mine)).toBe(true)
    expect((await stat(config)).mode & 0o777).toBe(0o600)
    expect((await stat(join(home, '.ssh', 'hatchway'))).mode & 0o777).toBe(0o700)
  })

  test('ssh, scp, sftp and rsync need no option, and nobody is asked about a key', async () => {
    expect(await client('ssh', `dev@${web.name}`, 'id -un; hostname; exit 4')).toEqual({
      code: 4,
      out: 'dev\nhw-web\n',
      err: '',
    })
    expect(await client('ssh', web.name, 'id -u')).toMatchObject({ code: 0, out: '0\n', err: '' })
    expect(await client('ssh', `dev@${web.name}.ctr`, 'hostname')).toMatchObject({ code: 0, out: 'hw-web\n', err: '' })
    const file = join(home, 'file')
    await writeFile(file, 'carried\n')
    expect(await client('scp', '-q', file, `dev@${web.name}:`)).toMatchObject({ code: 0, err: '' })
    expect((await web.inside('cat ~dev/file')).stdout.toString()).toBe('carried\n')
    const remoteShell = ['ssh', ...named()].join(' ')
    const rsync = await run('rsync', ['-e', remoteShell, `dev@${web.name}:file`, join(home, 'back')], { env: env() })
    expect([rsync.code, await readFile(join(home, 'back'), 'utf8')]).toEqual([0, 'carried\n'])
  })

  test('entries of their own go on to lead where they led', async () => {
    const { out } = await client('ssh', '-G', 'real')
    expect(out).toMatch(/^user somebody\nhostname 192\.0\.2\.1$/m)
    expect(out).not.toContain('proxycommand')
  })

  test('another host key than the one pinned is refused', async () => {
    const known = join(home, '.ssh', 'hatchway', 'known_hosts')
    const right = await readFile(known, 'utf8')
    const stranger = (await readFile(`${keys.ed25519}.pub`, 'utf8')).split(' ').slice(0, 2).join(' ')
    await writeFile(known, `hatchway ${stranger}\n`)
    try {
      const { code, err } = await client('ssh', `dev@${web.name}`, 'true')
      expect([code, err]).toEqual([255, expect.stringContaining('run `hatchway config-ssh` again')])
      expect(err).not.toContain('REMOTE HOST IDENTIFICATION')
      // Past that check it is ssh itself that refuses.
      const past = `ProxyCommand ${process.execPath} ${MAIN} connect --gateway 127.0.0.1:${gateway.port} ${web.name}`
      const refused = await client('ssh', '-o', past, `dev@${web.name}`, 'true')
      expect([refused.code, refused.err]).toEqual([255, expect.stringContaining('Host key verification failed')])
    } finally {
      await writeFile(known, right)
    }
  })

  test('a container with the name of a known host takes it from nobody', async () => {
    const taken = testName('taken')
    await writeFile(config, `${await readFile(config, 'utf8')}Host ${taken}\n  HostName 192.0.2.2\n`)
    const dotted = `${testName('git')}.example`
    const containers = [
      await startContainer('busybox', { name: taken }),
      await startContainer('busybox', { name: dotted, args: ['--hostname', 'hw-dotted'] }),
    ]
    try {
      const { out } = await configSsh(['--yes'])
      expect(out).toContain(`${taken} is a host you know already`)
      expect((await client('ssh', '-G', taken)).out).toMatch(/^hostname 192\.0\.2\.2$/m)
      expect((await client('ssh', '-G', dotted)).out).not.toContain('proxycommand')
      expect(await client('ssh', `dev@${dotted}.ctr`, 'hostname')).toMatchObject({ code: 0, out: 'hw-dotted\n' })
      expect(await client('ssh', `dev@${taken}.ctr`, 'true')).toMatchObject({ code: 0 })
    } finally {
      for (const container of containers) await container.remove()
    }
  })

  test('--watch follows containers as they come and go', async () => {
    const entries = join(home, '.ssh', 'hatchway', 'config')
    const child = spawn(process.execPath, [MAIN, 'config-ssh', ...flags(gateway.port), '--yes', '--watch'], {
      env: { ...process.env, ...env() },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
    const later = testName('later')
    const has = async () => (await readFile(entries, 'utf8')).includes(`Host ${later}\n`)
    try {
      await new Promise((resolve) => child.stdout.once('data', resolve))
      const container = await startContainer('busybox', { name: later })
      await until('it has an entry', has, 20_000)
      await docker('rename', later, `${later}-old`)
      await until('the name is gone', async () => !(await has()), 20_000)
      await run('docker', ['rm', '-f', `${later}-old`], { limit: 60_000 })
      await container.remove()
    } finally {
      child.kill('SIGTERM')
    }
    expect(await ended).toBe(0)
  })

  const logins = () => gateway.log().match(/"msg":"authenticated"/g)?.length ?? 0
  const IN = { code: 0, out: 'dev\n', err: '' }

  test('the person’s own gateway is found at whatever port, and what has the usual one is not asked', async () => {
    const vagrant = await startSshd(keys)
    let asked = 0
    const port = await new Promise<number>((resolve) => {
      const forward = createServer((client) => {
        asked++
        const upstream = connect(22, vagrant.target.host)
        for (const socket of [client, upstream]) socket.on('error', () => {})
        client.pipe(upstream).pipe(client)
      }).listen(0, '127.0.0.1', () => resolve((forward.address() as AddressInfo).port))
      after.push(async () => {
        forward.close()
        await vagrant.close()
      })
    })
    const { code, out } = await configSsh(['--yes'], port)
    expect([code, out]).toEqual([0, expect.stringMatching(/^Type: ssh \S+, or ssh USER@\S+$/m)])
    const entries = await readFile(join(home, '.ssh', 'hatchway', 'config'), 'utf8')
    expect(entries).toContain(`--gateway 127.0.0.1:${gateway.port} `)
    const before = logins()
    expect(await client('ssh', `dev@${web.name}`, 'id -un')).toEqual(IN)
    expect(logins()).toBe(before + 1)

    // It starts again elsewhere: what was written before still leads there.
    await gateway.stop()
    gateway = await startGateway({ keys, engine: 'docker', args: ['--keys', state] })
    expect(await client('ssh', `dev@${web.name}`, 'id -un')).toEqual(IN)
    expect(logins()).toBe(1)

    // And with none of the person's own, at a port that is another server's, ssh serves itself, with the same host key.
    await gateway.stop()
    expect((await configSsh(['--yes'], port)).code).toBe(0)
    expect(await readFile(join(home, '.ssh', 'hatchway', 'config'), 'utf8')).toContain(`--gateway 127.0.0.1:${port} `)
    expect(await client('ssh', `dev@${web.name}`, 'id -un')).toEqual(IN)
    expect(asked).toBe(0)
  })

  test('with no gateway running, each connection is served by its own process', async () => {
    const free = 1
    expect((await configSsh(['--yes'], free)).code).toBe(0)
    expect(await readFile(join(home, '.ssh', 'hatchway', 'config'), 'utf8')).toContain('--gateway 127.0.0.1:1 ')
    expect(await client('ssh', `dev@${web.name}`, 'id -un; exit 3')).toEqual({ code: 3, out: 'dev\n', err: '' })
    const unknown = await client('ssh', `dev@${web.name}x.ctr`, 'true')
    expect(unknown.err).toContain(`no container "${web.name}x"`)
  })

  test('--uninstall leaves everything as it was', async () => {
    expect((await configSsh(['--uninstall', '--dry-run'])).out).toContain('-Include')
    expect((await configSsh(['--uninstall'])).code).toBe(0)
    expect(await readFile(config, 'utf8')).toMatch(/^# mine\nHost real\n/)
    expect(await readFile(config, 'utf8')).not.toContain('hatchway')
    await expect(stat(join(home, '.ssh', 'hatchway'))).rejects.toThrow('ENOENT')
  })

  test('--uninstall removes a file that config-ssh has made', async () => {
    const own = join(home, 'none', 'config')
    await mkdir(join(home, 'none'))
    await writeFile(join(home, 'none', 'id.pub'), await readFile(`${keys.ed25519}.pub`))
    const made = await configSsh(['--yes', '--ssh-config', own])
    expect([made.code, await readFile(own, 'utf8')]).toEqual([0, expect.stringContaining('Include')])
    expect((await configSsh(['--uninstall', '--ssh-config', own])).code).toBe(0)
    await expect(stat(own)).rejects.toThrow('ENOENT')
  })
})
