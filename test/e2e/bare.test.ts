/** Containers that have none of the programs clients ask for: the guest helper is them. Agent sockets and their life. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startContainer, type TestContainer } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'
import { until } from '../support/wait.ts'

let keys: Keys
let gateway: Gateway
let busybox: TestContainer
let debian: TestContainer

beforeAll(async () => {
  keys = await makeKeys()
  ;[busybox, debian] = await Promise.all([startContainer('busybox'), startContainer('debian')])
  gateway = await startGateway({ keys, engine: 'docker', guest: 'require' })
})
afterAll(async () => {
  await gateway?.stop()
  await Promise.all([busybox?.remove(), debian?.remove(), keys?.close()])
})

describe('a busybox container with no scp, sftp-server or rsync', () => {
  let client: SshClient
  let tree: string
  beforeAll(async () => {
    client = await makeSshClient(gateway.target(`dev@${busybox.name}`))
    tree = join(client.dir, 'tree')
    await mkdir(join(tree, 'sub'), { recursive: true })
    await writeFile(join(tree, 'a b'), Buffer.alloc(300_000, 7))
    await writeFile(join(tree, 'sub', 'é'), 'x', { mode: 0o755 })
  })
  afterAll(() => client.close())

  test.each([['the sftp way'], ['the old way', '-O']])('scp -r -p both ways, %s', async (_, ...mode) => {
    const there = `there${mode.length}`
    const back = join(client.dir, `back${mode.length}`)
    const up = await client.scp([...mode, '-q', '-r', '-p', tree, `t:${there}`])
    expect(up.stderr.toString()).toBe('')
    const down = await client.scp([...mode, '-q', '-r', '-p', `t:~/${there}`, back])
    expect([up.code, down.code]).toEqual([0, 0])
    expect((await run('diff', ['-r', tree, back])).code).toBe(0)
    const mode755 = await client.exec(`stat -c %a ${there}/sub/é`)
    expect(mode755.stdout.toString().trim()).toBe('755')
  })

  test('scp -O of what is not there fails with a sentence', async () => {
    const { code, stderr } = await client.scp(['-O', '-q', 't:/none', join(client.dir, 'x')])
    expect(code).toBe(1)
    expect(stderr.toString()).toContain('No such file')
  })

  test('a program that calls sftp-server by name is served', async () => {
    const { stdout } = await client.exec('/usr/lib/openssh/sftp-server', {
      input: Buffer.from([0, 0, 0, 5, 1, 0, 0, 0, 3]),
    })
    expect(stdout.subarray(4, 9)).toEqual(Buffer.from([2, 0, 0, 0, 3]))
  })

  test.each(['/usr/bin/scp -t DIR', "'/usr/bin/scp' -t DIR", '"/usr/local/bin/scp" -t "DIR"'])(
    'a program that calls scp by its path is served: %s',
    async (command) => {
      await client.exec('rm -rf by-path && mkdir by-path')
      const input = Buffer.from('C0644 3 one\nhi\n\0')
      const { code, stdout, stderr } = await client.exec(command.replace('DIR', 'by-path'), { input })
      expect([code, stderr.toString(), stdout]).toEqual([0, '', Buffer.alloc(3)])
      expect((await client.exec('cat by-path/one')).stdout.toString()).toBe('hi\n')
    },
  )

  test.each(["exec '/usr/libexec/openssh/sftp-server' -l INFO", '"/usr/lib/sftp-server"'])(
    'and so is sftp-server: %s',
    async (command) => {
      const { stdout } = await client.exec(command, { input: Buffer.from([0, 0, 0, 5, 1, 0, 0, 0, 3]) })
      expect(stdout.subarray(4, 9)).toEqual(Buffer.from([2, 0, 0, 0, 3]))
    },
  )

  test('rsync says what is missing and what works instead', async () => {
    const { code, stderr } = await run('rsync', ['-a', '-e', `ssh -F ${client.config}`, `${tree}/`, 't:there/'])
    expect(code).not.toBe(0)
    expect(stderr.toString()).toContain('no rsync in this container; scp and sftp work')
  })
})

test('the agent’s socket lives as long as the connection, and nothing of it is left', async () => {
  const client = await makeSshClient(gateway.target(`dev@${debian.name}`), ['ForwardAgent yes'])
  const agent = await run('ssh-agent', ['-s'])
  const text = agent.stdout.toString()
  const env = { SSH_AUTH_SOCK: /SSH_AUTH_SOCK=([^;]+)/.exec(text)?.[1] ?? '' }
  const agentPid = Number(/SSH_AGENT_PID=(\d+)/.exec(text)?.[1])
  const control = join(client.dir, 'control')
  try {
    expect((await run('ssh-add', ['-q', keys.ed25519], { env })).code).toBe(0)
    const shared = ['-o', `ControlPath=${control}`, '-o', 'ControlMaster=auto', '-o', 'ControlPersist=30']
    const first = await client.ssh([...shared, 't', 'echo $SSH_AUTH_SOCK; ssh-add -l'], { env })
    const [socket = '', listed = ''] = first.stdout.toString().split('\n')
    expect(listed).toContain('ED25519')
    // From a process that no session started, as an IDE's server is, after the session that asked is over.
    const later = await debian.inside(
      `SSH_AUTH_SOCK=${socket} ssh-add -l; stat -c %a $(dirname ${socket}) ${socket}`,
      'dev',
    )
    expect(later.stdout.toString()).toMatch(/ED25519.*\n700\n600\n/s)
    await client.ssh(['-o', `ControlPath=${control}`, '-O', 'exit', 't'])
    await until(
      'the socket’s directory to go',
      async () => (await debian.inside(`test -e $(dirname ${socket})`)).code !== 0,
    )
  } finally {
    process.kill(agentPid)
    await client.close()
  }
})
