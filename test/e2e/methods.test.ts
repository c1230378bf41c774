/** Passwords, verification codes and chains with real clients, beside sshd where sshd can do the same: issue 7, 5. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hashPassword } from '../../src/auth/password-hash.ts'
import { codeAt } from '../../src/auth/totp.ts'
import { parseTotp } from '../../src/config/secrets.ts'
import { connectPeer, Message, packet } from '../ssh/peer.ts'
import { type Askpass, createAskpass } from '../support/askpass.ts'
import { docker, startContainer, type TestContainer } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient, type Target } from '../support/ssh.ts'
import { type Sshd, startSshd } from '../support/sshd.ts'
import { until } from '../support/wait.ts'

const SECRET = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'

let directory: string
let keys: Keys
let container: TestContainer
let askpass: Askpass
let hash: string
const toClose: (() => unknown)[] = []

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'hw-test-methods-'))
  askpass = createAskpass()
  ;[keys, container, hash] = await Promise.all([
    makeKeys(),
    startContainer('debian'),
    hashPassword(Buffer.from('correct horse')),
  ])
})
afterAll(async () => {
  for (const close of toClose.reverse()) await close()
  await Promise.all([keys?.close(), container?.remove()])
  askpass?.close()
  rmSync(directory, { recursive: true, force: true })
})

/** The keys that let in are alice's, who also has a password and a secret for codes. */
async function gateway(methods: string): Promise<Gateway> {
  const file = join(directory, `${methods.replaceAll(/\W/g, '_')}.yaml`)
  writeFileSync(
    file,
    `authenticationMethods: ${JSON.stringify(methods.split(' '))}
users:
  alice: { authorizedKeys: [${keys.authorized}], passwordHash: '${hash}', totpSecret: ${SECRET}, groups: [dev] }
  bob: { passwordHash: '${hash}' }
`,
  )
  const started = await startGateway({ keys, engine: 'docker', args: ['--config', file, '--log-level', 'debug'] })
  toClose.push(() => started.stop())
  return started
}

/** The clients ask for what they need, with no key unless one is given. */
async function client(target: Target, ...extra: string[]): Promise<SshClient> {
  const made = await makeSshClient(target, ['BatchMode no', 'NumberOfPasswordPrompts 1', ...extra])
  toClose.push(() => made.close())
  return made
}

function code(off = 0): string {
  const totp = parseTotp(SECRET)
  if (!totp) throw new Error('no secret')
  return codeAt(totp, Math.floor(Date.now() / 30_000) + off)
}

const login = (who = '') => `${who}dev@${container.name}`

describe('a password', () => {
  let target: Gateway
  beforeAll(async () => {
    target = await gateway('publickey password')
  })

  test('OpenSSH: the right one gets in as the user inside, and the log says who', async () => {
    const ssh = await client(target.target(login('alice=')), 'PreferredAuthentications password')
    const { code, stdout, stderr } = await ssh.exec('id -un', { env: askpass.env('correct horse') })
    expect({ code, out: stdout.toString(), err: stderr.toString() }).toEqual({ code: 0, out: 'dev\n', err: '' })
    expect(askpass.asked()).toEqual([`${login('alice=')}@127.0.0.1's password: `])
    const said = /"method":"password","identity":"alice".*"msg":"authenticated"/
    await until('the log says who', () => said.test(target.log()))
    expect(target.log()).not.toContain('correct horse')
  })

  test.each([
    ['a wrong password', 'alice=', 'incorrect horse'],
    ['an empty password', 'alice=', ''],
    ['a user who is not there', 'mallory=', 'correct horse'],
    ['no user named', '', 'correct horse'],
  ])('OpenSSH: %s is told the same', async (_what, who, password) => {
    const ssh = await client(target.target(login(who)), 'PreferredAuthentications password')
    const { code, stdout, stderr } = await ssh.exec('true', { env: askpass.env(password) })
    expect({ code, out: stdout.toString(), err: stderr.toString() }).toEqual({
      code: 255,
      out: '',
      err: `${login(who)}@127.0.0.1: Permission denied (publickey,password).\r\n`,
    })
  })

  test('OpenSSH: a container that is not there is told after the right password only', async () => {
    const ask = async (password: string) => {
      const user = 'alice=dev@no-such-container'
      const ssh = await client(target.target(user), 'PreferredAuthentications password', 'LogLevel INFO')
      const { stderr } = await ssh.exec('true', { env: askpass.env(password) })
      return stderr.toString()
    }
    expect(await ask('wrong')).not.toContain('container no-such')
    expect(await ask('correct horse')).toMatch(/hatchway: .*no-such-container/)
  })

  test('sshpass and scp', async () => {
    const ssh = await client(target.target(login('alice=')), 'PubkeyAuthentication no')
    writeFileSync(join(directory, 'file'), 'hello\n')
    const copied = await run('sshpass', [
      ...['-p', 'correct horse', 'scp', '-F', ssh.config],
      ...[join(directory, 'file'), 't:/tmp/by-password'],
    ])
    expect({ code: copied.code, err: copied.stderr.toString() }).toEqual({ code: 0, err: '' })
    expect(await docker('exec', container.name, 'cat', '/tmp/by-password')).toBe('hello')
    const wrong = await run('sshpass', [
      '-p',
      'wrong',
      'ssh',
      '-F',
      ssh.config,
      ...['-o', 'NumberOfPasswordPrompts=2'],
      't',
      'true',
    ])
    // 5: "invalid password", by its manual.
    expect(wrong.code).toBe(5)
  })

  test('a key still gets in, with no name claimed or the right one, and not under another', async () => {
    const as = async (who: string) => {
      const ssh = await client(target.target(login(who)), 'PreferredAuthentications publickey')
      return (await ssh.exec('true')).code
    }
    expect([await as(''), await as('alice='), await as('bob=')]).toEqual([0, 0, 255])
  })
})

test('many who try passwords keep each other waiting, and nobody with a key', async () => {
  const target = await gateway('publickey password')
  const connection = { port: target.port, privateKey: readFileSync(keys.ed25519) }
  const username = login('alice=')
  const peers = await Promise.all(
    Array.from({ length: 8 }, () =>
      connectPeer(connection, { authenticate: false, hide: [51, 52], username, readyTimeout: 0 }),
    ),
  )
  // Requests sent ahead: a queue of 16 passwords of 0.2 s each, at least.
  const wrong = packet(Message.USERAUTH_REQUEST, username, 'ssh-connection', 'password', false, 'wrong')
  for (const peer of peers) for (let i = 0; i < 2; i++) peer.send(wrong)
  const answered = () => peers.flatMap((peer) => peer.packets.filter(({ type }) => type === Message.USERAUTH_FAILURE))
  const ssh = await client(target.target(login()), 'PreferredAuthentications publickey')
  expect((await ssh.exec('true')).code).toBe(0)
  expect(answered().length).toBeLessThan(16)
  // They are answered nonetheless, each in its turn.
  await until('all are answered', () => answered().length === 16, 150_000)
  for (const peer of peers) peer.close()
}, 180_000)

describe('keyboard-interactive', () => {
  let target: Gateway
  beforeAll(async () => {
    target = await gateway('keyboard-interactive')
  })

  test('OpenSSH: password, then code; the code is good once', async () => {
    const ssh = await client(target.target(login('alice=')))
    const once = code()
    const first = await ssh.exec('id -un', { env: askpass.env('correct horse', once) })
    expect({ code: first.code, out: first.stdout.toString() }).toEqual({ code: 0, out: 'dev\n' })
    expect(askpass.asked().map((prompt) => prompt.replace(/^\(.*\) /, ''))).toEqual([
      'Password: ',
      'Verification code: ',
    ])
    const again = await ssh.exec('id -un', { env: askpass.env('correct horse', once) })
    expect(again.code).toBe(255)
    expect(again.stderr.toString()).toContain('Permission denied (keyboard-interactive)')
    await until('the log says why', () => target.log().includes('verification code was used before'))
    expect(target.log()).not.toContain(once)
  })

  test('OpenSSH: who has no code is in after the password', async () => {
    const ssh = await client(target.target(login('bob=')))
    const { code, stdout } = await ssh.exec('id -un', { env: askpass.env('correct horse') })
    expect({ code, out: stdout.toString() }).toEqual({ code: 0, out: 'dev\n' })
  })

  const prompts = JSON.stringify(['Password: ', 'Verification code: '])

  test('paramiko', async () => {
    const script = `
import paramiko, sys
host, port, user, password, code = sys.argv[1:]
transport = paramiko.Transport((host, int(port)))
transport.start_client(timeout=30)
asked = []
def handler(title, instructions, prompts):
    asked.extend(text for text, echo in prompts)
    return [password if 'assword' in text else code for text, echo in prompts]
transport.auth_interactive(user, handler)
channel = transport.open_session()
channel.exec_command('id -un')
import json
print(json.dumps(asked) + channel.makefile().read().decode(), end='')
transport.close()
`
    const args = [target.host, String(target.port), login('alice='), 'correct horse', code(1)]
    const { code: exit, stdout, stderr } = await run('/usr/bin/python3', ['-c', script, ...args], { limit: 60_000 })
    expect({ exit, out: stdout.toString(), err: stderr.toString() }).toMatchObject({
      exit: 0,
      out: `${prompts.replace(',', ', ')}dev\n`,
    })
  })

  test('asyncssh', async () => {
    const script = `
import asyncio, asyncssh, sys
host, port, user, password = sys.argv[1:]
class Client(asyncssh.SSHClient):
    def kbdint_auth_requested(self): return ''
    def kbdint_challenge_received(self, name, instructions, lang, prompts):
        return [password for _ in prompts]
async def main():
    options = dict(username=user, known_hosts=None, config=None, client_keys=None, agent_path=None)
    async with asyncssh.connect(host, int(port), client_factory=Client, **options) as connection:
        print((await connection.run('id -un')).stdout, end='')
asyncio.run(main())
`
    const args = [target.host, String(target.port), login('bob='), 'correct horse']
    const { code: exit, stdout, stderr } = await run('/usr/bin/python3', ['-c', script, ...args], { limit: 60_000 })
    expect({ exit, out: stdout.toString(), err: stderr.toString() }).toMatchObject({ exit: 0, out: 'dev\n' })
  })
})

test('a key and a code: the identity is the key’s, no name is needed', async () => {
  const target = await gateway('publickey,keyboard-interactive:totp')
  const ssh = await client(target.target(login()))
  const right = code()
  const { code: exit, stdout } = await ssh.exec('id -un', { env: askpass.env(right) })
  expect({ exit, out: stdout.toString() }).toEqual({ exit: 0, out: 'dev\n' })
  expect(askpass.asked().map((prompt) => prompt.replace(/^\(.*\) /, ''))).toEqual(['Verification code: '])
  const said = /"method":"keyboard-interactive:totp".*"identity":"alice".*"msg":"authenticated"/
  await until('the log says who', () => said.test(target.log()))
  expect(target.log()).toMatch(/"method":"publickey".*"identity":"alice".*"msg":"partly authenticated"/)
  const wrong = await ssh.exec('true', { env: askpass.env('000000') })
  expect(wrong.code).toBe(255)
  expect(wrong.stderr.toString()).toContain('Permission denied (keyboard-interactive)')
})

describe('beside sshd', () => {
  const METHODS = ['publickey,password', 'publickey,publickey', 'publickey,password password']

  /** What OpenSSH's client tells of the way in. */
  async function way(target: Target, password: string, ...extra: string[]) {
    const ssh = await client(target, 'LogLevel DEBUG1', ...extra)
    const { code, stdout, stderr } = await ssh.exec('id -un', { env: askpass.env(password) })
    const told = stderr
      .toString()
      .split(/\r?\n/)
      .map((line) => line.replaceAll(`${target.user}@${target.host}`, 'U@H').replace(/\(\[.*?\]:\d+\)|to .* \(.*/, 'H'))
      .filter((line) => /Authentications that|Authenticated |partial|Permission denied|Too many/.test(line))
    return { code, out: stdout.toString(), told }
  }

  let sshds: Map<string, Sshd>
  let gateways: Map<string, Gateway>
  beforeAll(async () => {
    sshds = new Map()
    gateways = new Map()
    for (const methods of METHODS) {
      const config = `AuthenticationMethods ${methods}\nPasswordAuthentication yes\nMaxAuthTries 3`
      const sshd = await startSshd(keys, {}, config)
      toClose.push(() => sshd.close())
      await run('docker', ['exec', '-i', sshd.container.name, 'chpasswd'], { input: 'dev:correct horse\n' })
      sshds.set(methods, sshd)
      gateways.set(methods, await gateway(methods))
    }
  }, 180_000)

  test.each([
    ['publickey,password', 'a key and the right password', 'correct horse', []],
    ['publickey,password', 'a key and a wrong password', 'wrong', []],
    ['publickey,password', 'no key', 'correct horse', ['PubkeyAuthentication no']],
    ['publickey,publickey', 'one key', '', []],
    ['publickey,publickey', 'two keys', '', ['IdentityFile ECDSA']],
    ['publickey,publickey', 'three keys', '', ['IdentityFile ECDSA', 'IdentityFile RSA']],
    ['publickey,password password', 'only the password', 'correct horse', ['PubkeyAuthentication no']],
    ['publickey,password password', 'a key and the password', 'correct horse', []],
    ['publickey,password password', 'a wrong password', 'wrong', ['PreferredAuthentications password']],
  ])('%s with %s: the client is told the same', async (methods, _what, password, extra) => {
    const options = extra.map((line) => line.replace('ECDSA', keys.ecdsa).replace('RSA', keys.rsa))
    const sshd = sshds.get(methods)
    const target = gateways.get(methods)
    if (!sshd || !target) throw new Error('not started')
    const reference = await way(sshd.target, password, ...options)
    // A password needs a name here; sshd has it in the user.
    const ours = await way(target.target(login('alice=')), password, ...options)
    expect(reference.told.length).toBeGreaterThan(0)
    expect(ours).toEqual(reference)
  })
})
