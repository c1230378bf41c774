/** The container as the host, by HTTP CONNECT and SOCKS on the gateway's own port, with real clients: issue 8, point 2. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startContainer, type TestContainer, testName } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'

const missing = async (program: string) => (await run('sh', ['-c', `command -v ${program}`])).code !== 0
const noNetcat = (await missing('nc')) || !(await run('nc', ['-h'])).stderr.includes('-X proxy_protocol')
const noPutty = await missing('plink')

describe('the gateway as a proxy', () => {
  let keys: Keys
  let gateway: Gateway
  let web: TestContainer
  let at: string
  beforeAll(async () => {
    keys = await makeKeys()
    gateway = await startGateway({ keys, engine: 'docker' })
    web = await startContainer('debian', { name: testName('Web'), args: ['--hostname', 'hw-web'] })
    at = `${gateway.host}:${gateway.port}`
  })
  afterAll(async () => {
    await gateway?.stop()
    await web?.remove()
    await keys?.close()
  })

  async function through(proxy: string, host: string, use: (client: SshClient) => Promise<void>): Promise<void> {
    const client = await makeSshClient({ host, port: 22, user: 'dev', key: keys.ed25519 }, [
      `ProxyCommand ${proxy}`,
      'HostKeyAlias hw-gateway',
      'LogLevel INFO',
    ])
    try {
      await use(client)
    } finally {
      await client.close()
    }
  }

  test.skipIf(noNetcat).each(['connect', '5'])('nc -X %s (Debian netcat-openbsd)', async (kind) => {
    for (const host of [web.name, `${web.name}.ctr`]) {
      await through(`nc -X ${kind} -x ${at} %h %p`, host, async (client) => {
        expect(await client.exec('id -un; hostname; exit 5')).toMatchObject({
          code: 5,
          stdout: Buffer.from('dev\nhw-web\n'),
        })
        const file = join(client.dir, 'file')
        await writeFile(file, host)
        expect((await client.scp([file, 't:copied'])).code).toBe(0)
        expect((await web.inside('cat ~dev/copied')).stdout.toString()).toBe(host)
      })
    }
  })

  test.skipIf(noNetcat)('a container that is not there is told after the key, not before', async () => {
    await through(`nc -X connect -x ${at} %h %p`, `${web.name}x`, async (client) => {
      const { code, stderr } = await client.exec('true')
      expect(code).toBe(255)
      expect(stderr.toString()).toContain(`no container "${web.name.toLowerCase()}x"; did you mean ${web.name}`)
      const stranger = await client.ssh(['-o', 'IdentityFile=none', '-o', 'PubkeyAuthentication=no', 't', 'true'])
      expect(stranger.stderr.toString()).not.toContain('container')
    })
  })

  test.skipIf(noPutty).each([
    ['HTTP', 3],
    ['SOCKS 5', 2],
  ])('PuTTY with its own %s proxy setting', async (_kind, method) => {
    const dir = join(keys.dir, `putty-${method}`)
    await mkdir(join(dir, 'sessions'), { recursive: true })
    const key = join(dir, 'key.ppk')
    await run('puttygen', [keys.ed25519, '-O', 'private', '-o', key, '--new-passphrase', '/dev/null'])
    const session = [
      ...['Protocol=ssh', `HostName=${web.name}`, 'PortNumber=22', 'UserName=dev', `PublicKeyFile=${key}`],
      // PuTTY resolves names itself unless told to leave that to the proxy; 2: always the proxy.
      ...[`ProxyMethod=${method}`, `ProxyHost=${gateway.host}`, `ProxyPort=${gateway.port}`, 'ProxyDNS=2'],
      'ProxyLocalhost=1',
    ]
    await writeFile(join(dir, 'sessions', 'web'), `${session.join('\n')}\n`)
    const hostKey = (await run('ssh-keygen', ['-lf', await hostKeyFile()])).stdout.toString().split(' ')[1] ?? ''
    const args = ['-batch', '-load', 'web', '-hostkey', hostKey, 'hostname; exit 6']
    const { code, stdout, stderr } = await run('plink', args, { env: { PUTTYDIR: dir } })
    expect([code, stdout.toString(), stderr.toString()]).toEqual([6, 'hw-web\n', ''])
  })

  test('curl reads a file by sftp through SOCKS 5', async () => {
    await web.inside('echo by curl > ~dev/read && chown dev ~dev/read', '0')
    const args = [
      '-sS',
      '--socks5-hostname',
      at,
      '--key',
      keys.ecdsa,
      '--pubkey',
      `${keys.ecdsa}.pub`,
      '-k',
      '-u',
      'dev:',
    ]
    const { stdout, stderr } = await run('curl', [...args, `sftp://${web.name}/home/dev/read`])
    expect([stdout.toString(), stderr.toString()]).toEqual(['by curl\n', ''])
  })

  test('a browser reads what this is', async () => {
    const { stdout } = await run('curl', ['-sS', '-i', `http://${at}/`])
    expect(stdout.toString()).toMatch(/^HTTP\/1\.1 405 Method Not Allowed\r\n[\s\S]*This is an SSH gateway/)
  })

  async function hostKeyFile(): Promise<string> {
    const log = gateway
      .log()
      .split('\n')
      .find((line) => line.includes('ssh_host_ed25519_key'))
    const file = `${JSON.parse(log ?? '{}').file}.pub`
    await readFile(file)
    return file
  }
})
