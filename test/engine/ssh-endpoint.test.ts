/** The Engine API over the ssh program: what that is told, how its failures are told, and that nothing of it is left. */
import { afterEach, expect, test } from 'vitest'
import { chooseEngine, formatAddress, openEngine } from '../../src/engine/choose.ts'
import { parseSshAddress, sshArguments } from '../../src/engine/docker/ssh-stream.ts'
import type { Engine } from '../../src/engine/engine.ts'
import { withReason } from '../../src/engine/messages.ts'
import { deadline } from '../../src/lifetime/deadline.ts'
import { type FakeSsh, fakeSsh } from '../support/fake-ssh.ts'
import { until } from '../support/wait.ts'

const soon = () => deadline(10_000)
const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function open(script: string, endpoint = 'ssh://ops@build2'): Promise<{ ssh: FakeSsh; engine: Engine }> {
  const ssh = await fakeSsh(script)
  const engine = await openEngine({ kind: 'docker', endpoint, lazy: true }, soon())
  closers.push(ssh.close, engine.close)
  return { ssh, engine }
}

/** The version, and an empty list, one answer a connection. */
const API = `read -r method path rest
case $path in
  */version) body='{"Version":"20.10.24","ApiVersion":"1.41","MinAPIVersion":"1.12","Arch":"amd64"}' ;;
  */json*) body='[]' ;;
esac
printf 'HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n%s' \${#body} "$body"`

test.each([
  ['ssh://build2', '-- build2 docker system dial-stdio'],
  ['ssh://ops@build2:2222', '-l ops -p 2222 -- build2 docker system dial-stdio'],
  ['ssh://[::1]:22/run/d.sock', '-p 22 -- ::1 docker --host=unix:///run/d.sock system dial-stdio'],
])('%s: ssh is told %s, and asks nobody anything', (endpoint, expected) => {
  const address = parseSshAddress(endpoint)
  if (!address) throw new Error('none')
  expect(formatAddress(address)).toBe(endpoint)
  expect(sshArguments(address).join(' ')).toMatch(/^-T -o BatchMode=yes -o ConnectTimeout=\d+ /)
  expect(sshArguments(address).join(' ').endsWith(expected)).toBe(true)
})

test('podman’s program is asked in its own words', () => {
  const address = parseSshAddress('ssh://core@h/run/p.sock', 'podman')
  expect(address && sshArguments(address).join(' ')).toMatch(/podman --url=unix:\/\/\/run\/p.sock system dial-stdio$/)
})

test.each([
  'ssh://-oProxyCommand=x',
  'ssh://-l@h',
  'ssh://h/$(x)',
  'ssh://h/a b',
  'ssh://a@b@c',
  'ssh://h;x',
  'tcp://h',
])('%s is no such address, so that nothing of it reaches ssh or a shell', (text) => {
  expect(parseSshAddress(text)).toBeUndefined()
  expect(parseSshAddress('ssh://h', `${text} x`)).toBeUndefined()
})

test('ssh:// in DOCKER_HOST is docker’s own client’s, as it was', async () => {
  const env = { DOCKER_HOST: 'ssh://far', PATH: '', DOCKER_CONFIG: '/no/such' }
  expect(await chooseEngine({ kind: 'auto' }, env)).toMatchObject({ kind: 'cli', host: 'ssh://far' })
  const address = { kind: 'ssh', host: 'far', cli: 'docker' }
  expect(await chooseEngine({ kind: 'auto', endpoint: 'ssh://far' }, env)).toMatchObject({ kind: 'api', address })
  expect(await chooseEngine({ kind: 'cli', endpoint: 'ssh://far' }, env)).toMatchObject({ kind: 'cli' })
})

test('calls are answered through it, and each of its programs is gone when the engine is closed', async () => {
  const { ssh, engine } = await open(`${API}`)
  expect(await engine.info(soon())).toMatchObject({ product: 'docker', version: '20.10.24', local: false })
  expect(await engine.list(soon())).toEqual([])
  expect(engine.endpoint).toBe('ssh://ops@build2')
  expect((await ssh.calls()).every((call) => call.endsWith('-l ops -- build2 docker system dial-stdio'))).toBe(true)
})

test.each([
  ['echo "ops@build2: Permission denied (publickey)." >&2; exit 255', 'ssh is not let in there'],
  ['echo "Host key verification failed." >&2; exit 255', 'ssh does not trust its host key'],
  ['echo "ssh: Could not resolve hostname build2: Name or service not known" >&2; exit 255', 'unknown host'],
  ['echo "ssh: connect to host build2 port 22: Connection timed out" >&2; exit 255', 'connection timed out'],
  ['echo "sh: 1: docker: not found" >&2; exit 127', 'there is no such program'],
  ['exit 3', 'ssh ended with 3'],
  ['kill -9 $$', 'ssh was killed'],
])('ssh that does %s is a sentence, whose cause has its words', async (script, words) => {
  const { engine } = await open(script)
  const failed = await engine.list(soon()).catch((error: unknown) => error)
  expect(failed).toMatchObject({
    code: 'ENGINE_UNAVAILABLE',
    message: `the container engine is not reachable (${words})`,
    cause: { message: expect.stringMatching(/^ssh:\/\/ops@build2: /) },
  })
  expect(withReason(failed as Parameters<typeof withReason>[0])).toBe(failed)
})

test('no ssh program at all is a sentence', async () => {
  const { ssh, engine } = await open('exit 0')
  await ssh.close()
  const before = process.env.PATH
  process.env.PATH = '/no/such'
  closers.push(async () => {
    process.env.PATH = before
  })
  await expect(engine.list(soon())).rejects.toMatchObject({ message: expect.stringContaining('(ssh cannot be run)') })
})

test('a far end that says nothing is given up, and its ssh is ended', async () => {
  const { ssh, engine } = await open('echo $$ >"$0.pid"; exec sleep 600')
  await expect(engine.list(deadline(300))).rejects.toThrow()
  await engine.close()
  expect((await ssh.calls()).length).toBe(1)
  const { readFile } = await import('node:fs/promises')
  const file = `${process.env.PATH?.split(':')[0]}/ssh.pid`
  const pid = Number(await readFile(file, 'utf8'))
  await until('it is gone', () => {
    try {
      process.kill(pid, 0)
      return false
    } catch {
      return true
    }
  })
})

test('it comes back as soon as ssh is let in', async () => {
  const { ssh, engine } = await open('exit 255')
  await expect(engine.list(soon())).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
  await ssh.does(API)
  expect(await engine.list(soon())).toEqual([])
})
