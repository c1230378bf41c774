/** ssh -J GATEWAY USER@CONTAINER with the real client: issue 8, point 1. */
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startContainer, type TestContainer, testName } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { type Finished, run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'
import { until } from '../support/wait.ts'

describe('a jump through the gateway', () => {
  let keys: Keys
  let gateway: Gateway
  let client: SshClient
  let web: TestContainer
  let other: TestContainer
  let config: string
  beforeAll(async () => {
    keys = await makeKeys()
    gateway = await startGateway({ keys, engine: 'docker' })
    web = await startContainer('debian', { name: testName('web'), args: ['--hostname', 'hw-web'] })
    other = await startContainer('debian', { name: testName('Other'), args: ['--hostname', 'hw-other'] })
    // As a person's: the gateway has the name of whoever sits there for a user, and no container is named in it.
    client = await makeSshClient(gateway.target('alice'), ['HostKeyAlias hw-gateway'])
    config = join(client.dir, 'jump')
    await writeFile(
      config,
      [
        'Host gw bastion',
        `  HostName ${gateway.host}`,
        `  Port ${gateway.port}`,
        `  IdentityFile ${keys.ed25519}`,
        'Host *.ctr',
        '  ProxyJump gw',
        // One key for the gateway; the container's own login must not need it.
        'Host *',
        '  User alice',
        '  HostKeyAlias hw-gateway',
        `  UserKnownHostsFile ${join(client.dir, 'known_hosts')}`,
        '  StrictHostKeyChecking accept-new',
        '  IdentitiesOnly yes',
        '  IdentityFile none',
        '  BatchMode yes',
        '  LogLevel INFO',
        '',
      ].join('\n'),
    )
  })
  afterAll(async () => {
    await client?.close()
    await gateway?.stop()
    await web?.remove()
    await other?.remove()
    await keys?.close()
  })

  const ssh = async (...args: string[]) => text(await run('ssh', ['-F', config, ...args]))
  const text = ({ code, stdout, stderr }: Finished) => ({
    code,
    stdout: stdout.toString(),
    stderr: stderr.toString().replace(/^Warning: Permanently added .*\r?\n/gm, ''),
  })

  test('enters the container as the user named, with no second proof', async () => {
    const { code, stdout, stderr } = await ssh('-J', 'gw', `dev@${web.name}`, 'id -un; hostname; exit 7')
    expect([code, stdout, stderr]).toEqual([7, 'dev\nhw-web\n', ''])
  })

  test('works by a pattern in ssh_config, whose suffix is taken off', async () => {
    expect(await ssh(`dev@${web.name}.ctr`, 'hostname')).toMatchObject({ code: 0, stdout: 'hw-web\n' })
    const file = join(client.dir, 'file')
    await writeFile(file, 'copied\n')
    const copied = await run('scp', ['-F', config, file, `dev@${web.name}.ctr:copied`])
    expect(text(copied)).toMatchObject({ code: 0, stderr: '' })
    expect((await web.inside('cat ~dev/copied; stat -c %U ~dev/copied')).stdout.toString()).toBe('copied\ndev\n')
  })

  test('a capital letter in a name survives, whatever the client does to host names', async () => {
    expect(await ssh('-J', 'gw', `dev@${other.name}`, 'hostname')).toMatchObject({ code: 0, stdout: 'hw-other\n' })
  })

  test('the user @ is the container’s own', async () => {
    expect(await ssh('-J', 'gw', '-l', '@', web.name, 'id -u')).toMatchObject({ code: 0, stdout: '0\n' })
  })

  test('-W is the same, for a ProxyCommand', async () => {
    const proxy = `ProxyCommand=ssh -F ${config} -W %h:%p gw`
    expect(await ssh('-o', proxy, `dev@${web.name}`, 'hostname')).toMatchObject({ code: 0, stdout: 'hw-web\n' })
  })

  test('a hop after the container is a forward inside it', async () => {
    const hops = `gw,dev@${web.name}.ctr`
    // The last hop is a forward inside the container: its own port 22, where nothing listens.
    const { code, stderr } = await ssh('-J', hops, 'dev@127.0.0.1', 'true')
    expect([code, stderr]).toEqual([255, expect.stringContaining('open failed: connect failed: Connection refused')])
  })

  test('a terminal, sftp and forwards work over it', async () => {
    const tty = await ssh('-tt', '-J', 'gw', `dev@${web.name}`, 'test -t 0 && echo terminal')
    expect(tty).toMatchObject({ code: 0, stdout: 'terminal\r\n' })
    const sftp = await run('sftp', ['-F', config, '-q', '-b', '-', '-J', 'gw', `dev@${web.name}`], { input: 'pwd\n' })
    expect(sftp.stdout.toString()).toContain('/home/dev')
    const forward = await ssh('-J', 'gw', '-W', '127.0.0.1:1', `dev@${web.name}`)
    expect(forward.stderr).toContain('open failed: connect failed: Connection refused')
  })

  test('what cannot be jumped to is refused with a sentence', async () => {
    const unknown = await ssh('-J', 'gw', `dev@${web.name}x`, 'true')
    expect(unknown.code).toBe(255)
    expect(unknown.stderr).toContain(`no container "${web.name}x"; did you mean ${web.name}`)
    const port = await ssh('-J', 'gw', '-p', '80', `dev@${web.name}`, 'true')
    expect(port.stderr).toContain('to jump into a container ask for its port 22')
    const user = await ssh('-J', 'gw', `nobodyhere@${web.name}`, 'true')
    expect(user.code).toBe(255)
    expect(user.stderr).toMatch(/hatchway: .*nobodyhere/)
    expect(user.stderr).toContain('Permission denied')
  })

  test('a connection to a container does not jump: port 22 there is the container’s own', async () => {
    const { code, stderr } = await ssh('-J', `${web.name}@gw`, `dev@${other.name}`, 'true')
    expect(code).toBe(255)
    expect(stderr).not.toContain('jump')
    expect(gateway.log()).not.toContain(`"host":"${other.name}.ctr"`)
    const jumps = () => gateway.log().split('"msg":"jump"').length
    const before = jumps()
    await ssh('-J', `dev@${web.name}@gw`, `dev@${other.name}`, 'true')
    expect(jumps()).toBe(before)
  })

  test('only the outer login’s proof carries over: a plain connection is asked as ever', async () => {
    const { code, stderr } = await ssh(
      '-o',
      `IdentityFile=none`,
      '-p',
      String(gateway.port),
      `dev@${web.name}@127.0.0.1`,
    )
    expect(code).toBe(255)
    expect(stderr).toContain('Permission denied')
  })

  test('the end of the outer connection ends what runs through it', async () => {
    const mark = `hw-jump-${process.pid}`
    const running = run('ssh', ['-F', config, '-J', 'gw', `dev@${web.name}`, `exec -a ${mark} sleep 300`])
    await until('it runs', async () => (await web.count(mark)) > 0)
    await run('pkill', ['-f', `ssh -F ${config} .*-W .*${web.name}`])
    expect((await running).code).toBe(255)
    await until('nothing is left of it', async () => (await web.count(mark)) === 0)
  })
})

describe('a jump, where keys and certificates are for users inside', () => {
  let keys: Keys
  let gateway: Gateway
  let web: TestContainer
  let client: SshClient
  const file = async (name: string, text: string | Buffer, mode = 0o644) => {
    await writeFile(join(keys.dir, name), text, { mode })
    return join(keys.dir, name)
  }
  beforeAll(async () => {
    keys = await makeKeys()
    await chmod(keys.dir, 0o755)
    // A program gives the RSA key to dev and to nobody's gateway; the ECDSA key signs for the ed25519 one.
    const rsa = await file('rsa-line', await readFile(`${keys.rsa}.pub`))
    const keysOf = await file('keys-of', `#!/bin/sh\n[ "$1" = root ] || cat ${rsa}\n`, 0o755)
    await writeFile(keys.authorized, '')
    const signed = await run('ssh-keygen', ['-q', '-s', keys.ecdsa, '-I', 'one', '-n', 'dev', `${keys.ed25519}.pub`])
    expect(signed.code).toBe(0)
    web = await startContainer('debian', { name: testName('web'), args: ['--hostname', 'hw-web'] })
    const rules = `rules: [{ containers: { names: [${web.name}] }, users: [dev, root] }]`
    gateway = await startGateway({
      keys,
      engine: 'docker',
      args: ['--config', await file('hatchway.yaml', rules, 0o600)],
      env: {
        HATCHWAY_TRUSTED_USER_CA_KEYS: await file('ca', await readFile(`${keys.ecdsa}.pub`)),
        HATCHWAY_AUTHORIZED_KEYS_COMMAND: `${keysOf} %u`,
        ...(process.getuid?.() === 0 && { HATCHWAY_AUTHORIZED_KEYS_COMMAND_USER: 'nobody' }),
      },
    })
    client = await makeSshClient(gateway.target('dev'), ['HostKeyAlias hw-gateway'])
  })
  afterAll(async () => {
    await client?.close()
    await gateway?.stop()
    await web?.remove()
    await keys?.close()
  })

  /** The key is the gateway's alone: nothing else can be offered inside. */
  async function jump(key: string, outer: string, inner: string) {
    const config = await file(
      'jump',
      [
        'Host gw',
        `  HostName ${gateway.host}`,
        `  Port ${gateway.port}`,
        `  User ${outer}`,
        `  IdentityFile ${key}`,
        'Host *',
        '  HostKeyAlias hw-gateway',
        `  UserKnownHostsFile ${join(client.dir, 'known_hosts')}`,
        '  StrictHostKeyChecking accept-new',
        '  IdentitiesOnly yes',
        '  IdentityFile none',
        '  IdentityAgent none',
        '  BatchMode yes',
        '',
      ].join('\n'),
    )
    const { code, stdout, stderr } = await run('ssh', ['-F', config, '-J', 'gw', inner, 'id -un'])
    return code === 0 ? stdout.toString().trim() : stderr.toString().includes('Permission denied') ? 'denied' : stderr
  }

  test.each([
    ['a key of a program', 'rsa'],
    ['a certificate', 'ed25519'],
  ] as const)('%s jumps as the user it is for, and as no other', async (_, key) => {
    for (const outer of ['dev@', 'dev']) {
      expect(await jump(keys[key], outer, `dev@${web.name}`), outer).toBe('dev')
      expect(await jump(keys[key], outer, `root@${web.name}`), outer).toBe('denied')
    }
  })

  test('nor does the picker lead where the certificate is not for', async () => {
    const pick = async (login: string) => {
      const target = { ...gateway.target(login), key: keys.ed25519 }
      const picking = await makeSshClient(target, ['HostKeyAlias hw-gateway'])
      try {
        const terminal = picking.terminal(['-tt', 't'])
        await terminal.expect('which one?')
        await terminal.expect(web.name)
        terminal.send('\r')
        await terminal.expect(/[$#] $|does not hold there/)
        terminal.kill()
        return terminal.output()
      } finally {
        await picking.close()
      }
    }
    // The bare word is nobody's container: the certificate is for its user dev, and not for whoever web's is.
    expect(await pick('dev')).toContain('what you logged in with does not hold there')
    expect(await pick('dev@')).not.toContain('does not hold there')
  })
})
