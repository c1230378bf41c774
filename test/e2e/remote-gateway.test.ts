/**
 * A gateway on another machine, with the real clients: `ssh gateway ls`, and `hatchway config-ssh --gateway` on a machine
 * that has neither an engine nor host keys.
 */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startContainer, type TestContainer, testName } from '../support/containers.ts'
import { type Gateway, MAIN, startGateway } from '../support/gateway.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys } from '../support/ssh.ts'
import { until } from '../support/wait.ts'

describe('a gateway on another machine', { timeout: 120_000 }, () => {
  let keys: Keys
  let gateway: Gateway
  let plain: Gateway
  let web: TestContainer
  let evil: TestContainer
  let foreign: TestContainer
  let home: string
  let config: string
  let rules: string
  const mine = () =>
    [
      'ServerAliveInterval 77',
      ...['gw', 'plain'].flatMap((name) => [`Host ${name}`, `  Port ${(name === 'gw' ? gateway : plain).port}`]),
      'Host gw plain 127.0.0.1',
      '  HostName 127.0.0.1',
      '  User alice',
      `  IdentityFile ${join(home, '.ssh', 'id_ed25519')}`,
      '  StrictHostKeyChecking accept-new',
      'Host *',
      `  UserKnownHostsFile ${join(home, '.ssh', 'known_hosts')}`,
      '  IdentitiesOnly yes',
      '  BatchMode yes',
      '  LogLevel ERROR',
      '',
    ].join('\n')
  const rulesText = (name: string) =>
    [
      `rules: [{ containers: { names: ['${name}', '${name}-evil'] }, users: [root, dev] }]`,
      `aliases: { ls: ${web.name}, config-ssh: ${web.name}, gw: ${web.name} }`,
      '',
    ].join('\n')

  beforeAll(async () => {
    keys = await makeKeys()
    home = await mkdtemp(join(tmpdir(), 'hw-test-laptop-'))
    config = join(home, '.ssh', 'config')
    await mkdir(join(home, '.ssh'), { mode: 0o700 })
    await cp(keys.ed25519, join(home, '.ssh', 'id_ed25519'))
    const forced = `command="uptime",restrict ${await readFile(`${keys.rsa}.pub`, 'utf8')}`
    await writeFile(keys.authorized, `${await readFile(`${keys.ed25519}.pub`, 'utf8')}${forced}`)
    web = await startContainer('debian', { name: testName('far'), args: ['--hostname', 'hw-far'] })
    const label = `hatchway.name=x\nHost *\n  ProxyCommand touch ${join(home, 'owned')}`
    evil = await startContainer('busybox', { name: `${web.name}-evil`, args: ['--label', label] })
    foreign = await startContainer('busybox', { name: testName('foreign') })
    rules = join(home, 'hatchway.yaml')
    await writeFile(rules, rulesText(web.name), { mode: 0o600 })
    gateway = await startGateway({ keys, engine: 'docker', args: ['--config', rules] })
    plain = await startGateway({ keys, engine: 'docker', guest: 'off', args: ['--config', rules] })
    await writeFile(config, mine(), { mode: 0o600 })
  }, 120_000)
  afterAll(async () => {
    await gateway?.stop()
    await plain?.stop()
    for (const container of [web, evil, foreign]) await container?.remove()
    await keys?.close()
    if (home) await rm(home, { recursive: true, force: true })
  })

  // No engine answers there, and nothing of a gateway is in that home.
  const laptop = () => ({
    HOME: home,
    XDG_CACHE_HOME: join(home, 'cache'),
    XDG_RUNTIME_DIR: home,
    SSH_AUTH_SOCK: '',
    DOCKER_HOST: `unix://${join(home, 'no-engine.sock')}`,
  })
  const finished = async (file: string, args: readonly string[]) => {
    const { code, stdout, stderr } = await run(file, args, { env: laptop(), limit: 60_000 })
    return { code, out: stdout.toString(), err: stderr.toString() }
  }
  const ssh = (...args: string[]) => finished('ssh', ['-F', config, ...args])
  const configSsh = (...args: string[]) =>
    finished(process.execPath, [MAIN, 'config-ssh', '--ssh-config', config, ...args])
  const ours = (name: string) => readFile(join(home, '.ssh', 'hatchway', name), 'utf8')

  test('ssh gateway ls lists what this identity may enter, and nothing else', async () => {
    const { code, out, err } = await ssh('gw', 'ls')
    expect([code, err]).toEqual([0, ''])
    const names = out.split('\n').map((line) => line.split('\t')[0])
    expect(names).toEqual([web.name, evil.name, ''])
    const json = await ssh('gw', 'ls --json')
    expect(JSON.parse(json.out)).toEqual([
      expect.objectContaining({ name: web.name, state: 'running' }),
      expect.objectContaining({ name: evil.name, state: 'running' }),
    ])
  })

  test('other clients are answered as well', async () => {
    const [ppk, dropbear] = [join(home, 'key.ppk'), join(home, 'key.dropbear')]
    await finished('puttygen', [keys.ed25519, '-o', ppk])
    await finished('dropbearconvert', ['openssh', 'dropbear', keys.ed25519, dropbear])
    const scan = await finished('ssh-keyscan', ['-t', 'ed25519', '-p', String(gateway.port), '127.0.0.1'])
    await writeFile(join(home, 'scanned'), scan.out)
    const [, print = ''] = (await finished('ssh-keygen', ['-lf', join(home, 'scanned')])).out.split(' ')
    const at = ['-l', '@', gateway.host, 'ls']
    const plink = ['-batch', '-hostkey', print, '-i', ppk, '-P', String(gateway.port)]
    const listed = expect.stringContaining(`${web.name}\t`)
    expect(await finished('plink', [...plink, ...at])).toMatchObject({ code: 0, out: listed })
    const dbclient = ['-y', '-y', '-i', dropbear, '-p', String(gateway.port)]
    expect(await finished('dbclient', [...dbclient, ...at])).toMatchObject({ code: 0, out: listed })
  })

  test('any other command without a container is refused, and so is each word with a forced command', async () => {
    const other = await ssh('gw', 'ls -la')
    expect([other.code, other.out]).toEqual([255, ''])
    expect(other.err).toContain('no container')
    for (const word of ['ls', 'ls --json', 'config-ssh', 'config-ssh --json']) {
      const forced = await ssh('-i', keys.rsa, '-o', 'IdentityFile=none', '-l', '@', 'gw', word)
      expect([forced.code, forced.out], word).toEqual([255, ''])
      expect(forced.err).toContain('no container named')
    }
  })

  test('a container of such a name is entered by its login, and runs the command', async () => {
    for (const name of ['ls', 'config-ssh', 'gw']) {
      expect(await ssh('-l', `dev@${name}`, 'gw', 'hostname')).toMatchObject({ code: 0, out: 'hw-far\n' })
    }
    const { code, out } = await ssh('-l', 'ls', 'gw', 'ls /')
    expect([code, out]).toEqual([0, expect.stringContaining('etc')])
    expect((await ssh('-l', 'ls', 'gw', 'ls')).out).not.toContain(web.name)
  })

  test('config-ssh --gateway makes hosts where there is no engine; then nothing but ssh is needed', async () => {
    const { code, out, err } = await configSsh('--yes', '--gateway', 'gw', '-o', 'ServerAliveInterval=33')
    expect([code, err]).toEqual([0, ''])
    expect(out).toContain(`, ${web.name}, ${evil.name}, `)
    expect(await readdir(join(home, '.ssh', 'hatchway'))).toEqual([
      `gw-${gateway.port}.config`,
      `gw-${gateway.port}.known_hosts`,
    ])
    const text = await ours(`gw-${gateway.port}.config`)
    // One block, the gateway's own name left alone, and nothing that a label has chosen.
    expect(text.match(/^Host .*$/gm)).toEqual([`Host config-ssh gw.ctr ${web.name} ${evil.name} ls *.ctr`])
    expect(text).not.toMatch(/touch|node|hatchway connect/)
    expect(await ssh(`dev@${web.name}`, 'id -un; hostname; exit 4')).toEqual({ code: 4, out: 'dev\nhw-far\n', err: '' })
    expect(await ssh(`${web.name}.ctr`, 'id -u')).toMatchObject({ code: 0, out: '0\n' })
    expect(await ssh('gw.ctr', 'hostname')).toMatchObject({ code: 0, out: 'hw-far\n' })
    expect((await ssh('-G', web.name)).out).toContain('serveraliveinterval 33')
    expect((await ssh('-G', 'elsewhere')).out).toContain('serveraliveinterval 77')
    await writeFile(join(home, 'file'), 'carried\n')
    expect(await finished('scp', ['-F', config, '-q', join(home, 'file'), `dev@${web.name}:`])).toMatchObject({
      code: 0,
    })
    expect((await web.inside('cat ~dev/file')).stdout.toString()).toBe('carried\n')
    await expect(stat(join(home, 'owned'))).rejects.toThrow('ENOENT')
    for (const made of ['.config', '.local', 'cache', '.ssh/hatchway/config']) {
      await expect(stat(join(home, made)), made).rejects.toThrow('ENOENT')
    }
  })

  test('a second run changes nothing, and a gateway whose key is another one is refused', async () => {
    expect((await configSsh('--dry-run', '--gateway', 'gw', '-o', 'ServerAliveInterval=33')).out).toMatch(
      /^nothing would change/,
    )
    const known = join(home, '.ssh', 'hatchway', `gw-${gateway.port}.known_hosts`)
    const right = await readFile(known, 'utf8')
    const stranger = (await readFile(`${keys.ed25519}.pub`, 'utf8')).split(' ').slice(0, 2).join(' ')
    await writeFile(known, `hatchway ${stranger}\n`)
    try {
      const { code, err } = await ssh(web.name, 'true')
      expect([code, err]).toEqual([255, expect.stringContaining('Host key verification failed')])
    } finally {
      await writeFile(known, right)
    }
  })

  test('a second gateway takes no name from the first, and has its hosts on the plain road', async () => {
    const { code, out } = await configSsh('--yes', '--gateway', 'plain', '--inline')
    expect(code).toBe(0)
    expect(out).toContain(`${web.name} is a host you know already`)
    expect(out).toContain('NAME.ctr is a host you know already')
    expect((await configSsh('--uninstall', '--gateway', 'gw')).code).toBe(0)
    expect((await configSsh('--yes', '--gateway', 'plain', '--inline')).code).toBe(0)
    const text = await readFile(config, 'utf8')
    expect(text).not.toContain('Include')
    expect(text).toContain(`ProxyJump @@plain:${plain.port}`)
    expect(text.endsWith(mine())).toBe(true)
    expect(await ssh(`dev@${web.name}`, 'id -un; hostname')).toEqual({ code: 0, out: 'dev\nhw-far\n', err: '' })
    expect((await ssh('-G', 'elsewhere')).out).toContain('serveraliveinterval 77')
    expect((await configSsh('--uninstall')).code).toBe(0)
    expect(await readFile(config, 'utf8')).toBe(mine())
    await expect(stat(join(home, '.ssh', 'hatchway'))).rejects.toThrow('ENOENT')
  })

  test('without Hatchway at all, what ssh gateway config-ssh prints is a part of ssh_config', async () => {
    const { code, out } = await ssh('gw', `config-ssh 127.0.0.1:${gateway.port}`)
    expect(code).toBe(0)
    await writeFile(config, `${mine()}\n${out}`)
    expect(await ssh('-p', String(gateway.port), '127.0.0.1', 'ls')).toMatchObject({ code: 0 })
    expect(await ssh(`dev@${web.name}.ctr`, 'hostname')).toEqual({ code: 0, out: 'hw-far\n', err: '' })
    await writeFile(config, mine())
    // Where the connection arrives is where it says nothing of that.
    expect((await ssh('gw', 'config-ssh')).out).toContain(`ProxyJump @@127.0.0.1:${gateway.port}\n`)
  })

  test('what is no gateway, or no ssh, is said', async () => {
    expect(await configSsh('--yes', '--gateway', 'gw -oProxyCommand=x')).toMatchObject({ code: 1, out: '' })
    const nobody = await configSsh('--yes', '--gateway', '127.0.0.1:1')
    expect([nobody.code, nobody.err]).toEqual([
      1,
      expect.stringContaining('127.0.0.1:1 told no hosts: ssh ended with 255'),
    ])
    expect(await readFile(config, 'utf8')).toBe(mine())
  })

  test('a gateway that lies gets no option and no host of another name into ssh_config', async () => {
    const names = [
      'ok',
      'x\nHost *\n  ProxyCommand touch owned',
      '-oProxyCommand=x',
      '$(touch owned)',
      '*',
      'gw',
      'a b',
    ]
    const hosts = names.map((name) => ({ name, running: true }))
    const told = JSON.stringify({ hostKeys: [`ssh-ed25519 ${'A'.repeat(68)}`], suffixes: ['.ctr'], hosts })
    await writeFile(join(home, 'told.json'), told)
    const fake = `#!/bin/sh\n[ "$1" = -G ] && PATH=$REAL exec ssh "$@"\ncat '${join(home, 'told.json')}'\n`
    await mkdir(join(home, 'bin'))
    await writeFile(join(home, 'bin', 'ssh'), fake, { mode: 0o755 })
    const path = { PATH: `${join(home, 'bin')}:${process.env.PATH}`, REAL: process.env.PATH ?? '' }
    const args = [MAIN, 'config-ssh', '--ssh-config', config, '--yes', '--gateway', 'gw']
    const { code, stdout } = await run(process.execPath, args, { env: { ...laptop(), ...path }, limit: 60_000 })
    expect([code, stdout.toString()]).toEqual([0, expect.stringMatching(/^hosts: ok, gw\.ctr; any container/)])
    const lines = (await ours(`gw-${gateway.port}.config`)).split('\n').map((line) => line.trim().split(' ')[0])
    const settings = ['ProxyJump', 'Port', 'User', 'HostKeyAlias', 'UserKnownHostsFile', 'StrictHostKeyChecking']
    expect(lines).toEqual(['#', '', 'Host', ...settings, 'UpdateHostKeys', ''])
    expect((await configSsh('--uninstall')).code).toBe(0)
    expect(await readFile(config, 'utf8')).toBe(mine())
  })

  test('asked many times at once on one connection, and by a policy that changes meanwhile', async () => {
    const socket = join(home, 'master')
    const shared = ['-o', `ControlPath=${socket}`]
    expect(await ssh(...shared, '-M', '-N', '-f', 'gw')).toMatchObject({ code: 0 })
    try {
      const answers = await Promise.all(Array.from({ length: 6 }, () => ssh(...shared, 'gw', 'ls')))
      for (const { code, out } of answers) expect([code, out]).toEqual([0, expect.stringContaining(`${web.name}\t`)])
      await writeFile(rules, rulesText(`${web.name}-nobodys`))
      process.kill(gateway.pid, 'SIGHUP')
      await until('the rules are read again', () => gateway.log().includes('configuration and keys reloaded'))
      expect(await ssh(...shared, 'gw', 'ls')).toEqual({ code: 0, out: '', err: '' })
      expect(JSON.parse((await ssh(...shared, 'gw', 'config-ssh --json')).out)).toMatchObject({ hosts: [] })
    } finally {
      await ssh(...shared, '-O', 'exit', 'gw')
    }
  })
})
