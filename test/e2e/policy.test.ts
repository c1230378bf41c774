/** What the rules, labels and options of keys refuse, as the real clients see it. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startContainer, type TestContainer, testName } from '../support/containers.ts'
import { type PolicyWorld, policyWorld } from '../support/policy.ts'
import type { SshClient } from '../support/ssh.ts'
import { until } from '../support/wait.ts'

const web = testName('web')
const dark = testName('dark')
const labelled = testName('labelled')
const containers: TestContainer[] = []
let world: PolicyWorld

beforeAll(async () => {
  for (const [name, args] of [
    [web, []],
    [dark, []],
    [labelled, ['--label', 'hatchway.allow=bob, @ops', '--label', 'hatchway.users=dev']],
  ] as const) {
    containers.push(await startContainer('debian', { name, args }))
  }
  await containers[0]?.inside('echo toor:x:0:0::/root:/bin/sh >> /etc/passwd')
  world = await policyWorld(
    {
      alice: '',
      bob: '',
      forced: 'command="echo [$SSH_ORIGINAL_COMMAND]",environment="FROM_KEY=yes"',
      restricted: 'restrict',
      ports: 'permitopen="127.0.0.1:9",permitlisten="18080"',
      files: 'command="internal-sftp -R"',
    },
    {
      rules: [
        { name: 'bob', who: { identities: ['bob', 'forced', 'restricted', 'ports', 'files'] }, users: ['*', 'root'] },
        { effect: 'deny', containers: { names: [web] }, actions: { exec: ['*forbidden*'] }, message: 'ask the owner' },
        {
          name: 'alice',
          who: { identities: ['alice'] },
          containers: { names: [web, labelled] },
          users: ['*'],
          actions: { exec: true, sftp: 'read-only', env: ['HW_*'], forwardLocal: ['localhost:7'] },
        },
      ],
    },
  )
})
afterAll(async () => {
  await world?.close()
  for (const container of containers) await container.remove()
})

/** As a person sees it; INFO shows the banner. */
async function said(person: string, login: string, command = 'id -un', options: readonly string[] = []) {
  const client = await world.as(person, login, ['LogLevel INFO'])
  const { code, stdout, stderr } = await client.ssh([...options, 't', command])
  return { code, stdout: stdout.toString().trim(), stderr: stderr.toString() }
}

describe('where one may not be', () => {
  test('a container that is forbidden looks exactly like one that is not there', async () => {
    const forbidden = await said('alice', `dev@${dark}`)
    const missing = testName('none')
    const absent = await said('alice', `dev@${missing}`)
    const plain = (text: string, name: string) => text.replaceAll(name, 'NAME').replaceAll(/Warning: Perm[^\n]*\n/g, '')
    expect(forbidden.code).toBe(255)
    expect(plain(forbidden.stderr, dark)).toBe(plain(absent.stderr, missing))
    expect((await said('bob', `dev@${dark}`)).stdout).toBe('dev')
  })

  test('no hint names a container that is forbidden', async () => {
    const { stderr } = await said('alice', `dev@${dark.slice(0, -1)}`)
    expect(stderr).not.toContain(dark)
    expect((await said('bob', `dev@${dark.slice(0, -1)}`)).stderr).toContain(dark)
  })

  test('root is only where it is named, by whatever name, and the login is refused', async () => {
    for (const user of ['root', '0', 'toor']) {
      const { code, stderr } = await said('alice', `${user}@${web}`)
      expect([user, code]).toEqual([user, 255])
      expect(stderr).toMatch(new RegExp(`entering ${web} as (root|toor) is not permitted`))
    }
    expect((await said('bob', `toor@${web}`, 'id -u')).stdout).toBe('0')
  })

  test('a label of the container narrows what the rules allow', async () => {
    expect((await said('alice', `dev@${labelled}`)).stderr).toContain(`no container "${labelled}"`)
    expect((await said('bob', `dev@${labelled}`)).stdout).toBe('dev')
    expect((await said('bob', `root@${labelled}`)).stderr).toContain(`entering ${labelled} as root is not permitted`)
  })
})

describe('what one may not do', () => {
  test('a shell', async () => {
    const client = await world.as('alice', `dev@${web}`)
    const { code, stderr } = await client.ssh(['t'], { input: 'id\n' })
    expect(code).toBe(255)
    expect(stderr.toString()).toBe(`hatchway: a shell in ${web} as dev is not permitted\n`)
  })

  test('a command that a rule denies, in its own words, and not in the log', async () => {
    const { code, stderr } = await said('alice', `dev@${web}`, 'echo forbidden-fruit')
    expect(code).toBe(255)
    expect(stderr).toContain(`hatchway: this command in ${web} as dev is not permitted: ask the owner`)
    const denied = () => world.log().find(({ msg, by }) => msg === 'refused' && String(by).startsWith('rule 2 '))
    const line = await until('it is in the log', denied)
    expect(line).toMatchObject({ action: 'exec', container: web, user: 'dev', identity: 'alice' })
    expect(line.by).toMatch(/^rule 2 \(.*hatchway\.yaml:\d+\)$/)
    expect(world.gateway.log()).not.toContain('forbidden-fruit')
  })

  test('variables that are not named', async () => {
    const client = await world.as('alice', `dev@${web}`, ['SendEnv HW_* LANG'])
    const env = { HW_ONE: '1', LANG: 'xx_YY' }
    const { stdout } = await client.exec('echo "[$HW_ONE] [$LANG]"', { env })
    expect(stdout.toString()).toBe('[1] []\n')
  })

  test('-L: administratively prohibited, but for what is listed', async () => {
    const forward = async (target: string) => {
      const client = await world.as('alice', `dev@${web}`, ['LogLevel INFO'])
      return (await client.ssh(['-W', target, 't'])).stderr.toString()
    }
    expect(await forward('localhost:8')).toContain('administratively prohibited')
    expect(await forward('10.1.2.3:7')).toContain('administratively prohibited')
    expect(await forward('localhost:7')).not.toContain('prohibited')
  })

  test('-R', async () => {
    const remote = async (person: string) => {
      const client = await world.as(person, `dev@${web}`, ['ExitOnForwardFailure yes'])
      return client.ssh(['-R', '127.0.0.1:18765:127.0.0.1:9', 't', 'echo in'])
    }
    expect((await remote('alice')).stderr.toString()).toContain('remote port forwarding failed')
    expect((await remote('bob')).stdout.toString()).toBe('in\n')
  })

  test('agent and X11: the session goes on without', async () => {
    const socket = join(world.folder, 'agent.sock')
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' })
    try {
      const look = async (person: string) => {
        const client = await world.as(person, `dev@${web}`, ['ForwardAgent yes', 'ForwardX11 yes'])
        const env = { SSH_AUTH_SOCK: socket, DISPLAY: 'localhost:99' }
        return (await client.exec('echo "[$SSH_AUTH_SOCK][$DISPLAY]"', { env })).stdout.toString()
      }
      expect(await look('alice')).toBe('[][]\n')
      expect(await look('bob')).toMatch(/^\[\/.*agent\.sock\]\[localhost:\d+\.0\]\n$/)
    } finally {
      agent.kill()
    }
  })
})

describe('sftp to read only', () => {
  const CHANGES = [
    'put /etc/hostname new',
    'rm file',
    'rename file other',
    'mkdir folder',
    'rmdir empty',
    'chmod 600 file',
    'ln -s file link',
    'ln file hard',
    'reput /etc/services file',
  ]
  /** All of them in one session, which goes on after each. */
  const changesNothing = async (client: SshClient) => {
    const { stderr } = await client.sftp(CHANGES.map((change) => `-${change}\n`).join(''))
    // A server that only reads does not offer the extension for hard links.
    const refused = stderr.toString().match(/(permission denied|does not support hardlink\S+ extension)$/gim)
    expect(refused, stderr.toString()).toHaveLength(CHANGES.length)
  }
  beforeAll(async () => {
    await containers[0]?.inside('cd /home/dev && echo content > file && mkdir -p empty && chown dev file empty', 'root')
  })

  test('reading works, and no change does', async () => {
    const client = await world.as('alice', `dev@${web}`)
    const got = join(world.folder, 'got')
    expect((await client.sftp(`get file ${got}\nls -l\n`)).code).toBe(0)
    const before = await containers[0]?.inside('ls -lA --full-time /home/dev; cat /home/dev/file')
    await changesNothing(client)
    const after = await containers[0]?.inside('ls -lA --full-time /home/dev; cat /home/dev/file')
    expect(after?.stdout.toString()).toBe(before?.stdout.toString())
  })

  test('scp, which is sftp: out, but not in', async () => {
    const client = await world.as('alice', `dev@${web}`)
    expect((await client.scp(['t:file', join(world.folder, 'copied')])).code).toBe(0)
    const into = await client.scp(['/etc/hostname', 't:copied'])
    expect(into.code).not.toBe(0)
    expect(into.stderr.toString().toLowerCase()).toContain('permission denied')
  })

  test('by the container’s own sftp-server, where there is no helper', async () => {
    const plain = await policyWorld(
      { alice: '' },
      { rules: [{ actions: { sftp: 'read-only' }, users: ['dev'] }] },
      'off',
    )
    try {
      const client = await plain.as('alice', `dev@${web}`)
      expect((await client.sftp(`get file ${join(plain.folder, 'got')}\n`)).code).toBe(0)
      await changesNothing(client)
    } finally {
      await plain.close()
    }
  })
})

test('lists of forwards hold for what the kernel is given: by way of a link, and where gatewayPorts is yes', async () => {
  await containers[0]?.inside('cd /home/dev && mkdir -p ok far/away far/ok && ln -s far/away link', '1000')
  const listed = await policyWorld(
    { alice: '' },
    {
      gatewayPorts: 'yes',
      rules: [
        { effect: 'deny', actions: { forwardRemote: ['0.0.0.0:18090'] } },
        { users: ['dev'], actions: { exec: true, forwardRemote: true, forwardSocket: ['/home/dev/ok/*'] } },
      ],
    },
  )
  try {
    const client = await listed.as('alice', `dev@${web}`, ['ExitOnForwardFailure yes'])
    const listen = async (at: string) => (await client.ssh(['-R', `${at}:127.0.0.1:9`, 't', 'echo in'])).code
    expect([await listen('18091'), await listen('18090'), await listen('127.0.0.1:18090')]).toEqual([0, 255, 255])
    expect(await listen('/home/dev/ok/a.sock')).toBe(0)
    // Not in ok to the kernel, which follows the link first.
    expect(await listen('/home/dev/link/../ok/b.sock')).toBe(255)
  } finally {
    await listed.close()
  }
})

describe('options of a key', () => {
  test('command= runs in place of shell, command and sftp; environment= is set', async () => {
    const client = await world.as('forced', `dev@${web}`)
    expect((await client.exec('rm -rf /')).stdout.toString()).toBe('[rm -rf /]\n')
    expect((await client.ssh(['t'])).stdout.toString()).toBe('[]\n')
    expect((await client.ssh(['-s', 't', 'sftp'])).stdout.toString()).toBe('[internal-sftp]\n')
  })

  test('restrict: no terminal, no forwarding', async () => {
    const client = await world.as('restricted', `dev@${web}`, ['LogLevel INFO'])
    const terminal = client.terminal(['-t', 't', 'tty; echo done'])
    await terminal.expect('PTY allocation request failed')
    // What OpenSSH 9's client makes of it, beside sshd as well; one that did not insist goes on without.
    expect(await terminal.exit()).toBe(255)
    expect((await client.exec('tty')).stdout.toString()).toBe('not a tty\n')
    expect((await client.ssh(['-W', 'localhost:7', 't'])).stderr.toString()).toContain('administratively prohibited')
  })

  test('permitopen and permitlisten', async () => {
    const client = await world.as('ports', `dev@${web}`, ['ExitOnForwardFailure yes', 'LogLevel INFO'])
    const open = async (target: string) => (await client.ssh(['-W', target, 't'])).stderr.toString()
    expect(await open('127.0.0.1:9')).not.toContain('prohibited')
    expect(await open('localhost:9')).toContain('administratively prohibited')
    const listen = async (port: number) => (await client.ssh(['-R', `${port}:127.0.0.1:9`, 't', 'echo in'])).code
    expect([await listen(18080), await listen(18081)]).toEqual([0, 255])
  })

  test('internal-sftp -R: sftp only, and to read only', async () => {
    const client = await world.as('files', `dev@${web}`)
    expect((await client.sftp(`get file ${join(world.folder, 'read')}\n`)).code).toBe(0)
    expect((await client.sftp('put /etc/hostname new\n')).stderr.toString()).toContain('ermission denied')
    const { code, stdout, stderr } = await client.exec('id')
    expect([code, stdout.toString()]).toEqual([1, ''])
    expect(stderr.toString()).toContain('This service allows sftp connections only.')
  })
})
