/** Checks of `hatchway doctor` that no run of the whole can bring about. */
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { examineClock } from '../../src/cli/examine-clock.ts'
import { examineEngine } from '../../src/cli/examine-engine.ts'
import { containerAdvice } from '../../src/cli/examine-guest.ts'
import { examinePort } from '../../src/cli/examine-port.ts'
import { examineSsh } from '../../src/cli/examine-ssh.ts'
import { entries as connectEntries } from '../../src/cli/ssh-config/entries.ts'
import { withInclude, withInline } from '../../src/cli/ssh-config/include.ts'
import type { LoadedConfig } from '../../src/config/load.ts'
import { GREETING } from '../../src/ssh/greeting.ts'
import { hatchway } from '../support/program.ts'
import { run } from '../support/run.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hw-test-examine-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

it('a clock from before the program was written fails, and says why it matters', async () => {
  expect(await examineClock(new Date(0))).toMatchObject({
    state: 'fail',
    advice: expect.stringContaining('certificates'),
  })
  expect((await examineClock()).state).not.toBe('fail')
})

it('the ssh configuration: not set up, set up, and half taken away', async () => {
  const config = async () => (await examineSsh(folder)).find(({ check }) => check === 'ssh config')
  expect(await config()).toMatchObject({ state: 'ok', found: expect.stringContaining('has not been run') })

  const entries = join(folder, 'hatchway', 'config')
  await writeFile(join(folder, 'config'), withInclude('Host other\n', entries))
  expect(await config()).toMatchObject({ state: 'warn', advice: expect.stringContaining('--uninstall') })

  await mkdir(join(folder, 'hatchway'))
  await writeFile(entries, '')
  expect(await config()).toMatchObject({ state: 'ok', found: expect.stringContaining('includes') })

  const written = (program: string) =>
    writeFile(
      entries,
      connectEntries({
        connect: [process.execPath, program, 'connect'],
        hosts: ['web'],
        suffixes: [],
        options: [],
        knownHosts: '/x',
      }),
    )
  const program = join(folder, "100% Kim's main.js")
  await writeFile(program, '')
  await written(program)
  expect(await config()).toMatchObject({ state: 'ok' })
  await rm(program)
  expect(await config()).toMatchObject({
    state: 'fail',
    found: expect.stringContaining(`${program}, which is not there any more`),
    advice: expect.stringContaining('config-ssh'),
  })
})

it('hosts of gateways on other machines are known, without and beside those of this one', async () => {
  const config = async () =>
    (await examineSsh(folder)).flatMap(({ check, ...found }) => (check === 'ssh config' ? found : []))
  const ours = join(folder, 'hatchway')
  await mkdir(ours, { recursive: true })
  const [far, inline] = [join(ours, 'build.example-2222.config'), join(ours, 'other-22.config')]
  await writeFile(far, 'Host web\n')
  await writeFile(join(ours, 'other-22.known_hosts'), '')
  await writeFile(join(folder, 'config'), withInclude(withInline('', inline, 'Host db\n'), far))
  const own = join(folder, 'config')
  expect((await config()).toSorted((a, b) => (a.found < b.found ? -1 : 1))).toEqual([
    { state: 'ok', found: `${own} has the containers of other as hosts` },
    { state: 'ok', found: `${own} includes ${far}` },
  ])
})

it('the ssh client is named with its version', async () => {
  const client = (await examineSsh(folder)).find(({ check }) => check === 'ssh client')
  expect(client).toMatchObject({ state: 'ok', found: expect.stringMatching(/^OpenSSH_/) })
})

it('the engine that a start would use, also where it does not answer', async () => {
  const engine = { kind: 'docker', endpoint: 'unix:///nonexistent/docker.sock' } as const
  expect(await examineEngine({ engine })).toEqual([
    {
      check: 'engine',
      state: 'fail',
      found: expect.stringContaining('it would be used at unix:///nonexistent/docker.sock (engine.endpoint)'),
      advice: expect.stringContaining('no socket at /nonexistent/docker.sock'),
    },
  ])
})

it('lines of key files that are ignored, and a host key that is broken, with what to do', async () => {
  const keys = join(folder, 'keys')
  const made = await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'key')])
  expect(made.code).toBe(0)
  const line = await readFile(join(folder, 'key.pub'), 'utf8')
  await writeFile(keys, `${line}frob ${line}`, { mode: 0o600 })
  await writeFile(join(folder, 'hatchway.yaml'), 'hostKeys: [broken]\n')
  await writeFile(join(folder, 'broken'), 'half a key', { mode: 0o600 })
  const args = ['doctor', '--json', '--config', join(folder, 'hatchway.yaml'), '--authorized-keys', keys]
  const away = { HOME: folder, DOCKER_HOST: 'unix:///nonexistent.sock' }
  const { code, out } = await hatchway([...args, '--engine', 'docker', '--listen', '127.0.0.1:0'], away)
  expect(code).toBe(1)
  const findings: { check: string; state: string; found: string; advice?: string }[] = JSON.parse(out)
  const of = (check: string) => findings.filter((finding) => finding.check === check)
  expect(of('login keys')).toEqual([
    { check: 'login keys', state: 'ok', found: '1 in 1 file' },
    {
      check: 'login keys',
      state: 'warn',
      found: expect.stringContaining(`${keys}:2 is ignored: `),
      advice: 'correct that line',
    },
  ])
  expect(of('host keys')).toMatchObject([{ state: 'fail', advice: expect.stringContaining('hostKeys') }])
})

async function listening(answer: string): Promise<{ port: number; close(): void }> {
  const server = createServer((socket) => {
    // A gateway answers the client's identification, and says nothing before it.
    socket.once('data', () => socket.write(answer))
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { port: address.port, close: () => server.close() }
}

it('a port that is taken: by a gateway that may not be asked, which is not to be ended, or by another program', async () => {
  const config = {
    config: { controlSocket: join(folder, 'nobody.sock'), listen: [] },
    where: () => 'here',
  } as unknown as LoadedConfig
  const gateway = await listening(GREETING)
  const found = await examinePort({ host: '127.0.0.1', port: gateway.port }, config)
  expect(found).toMatchObject({
    state: 'warn',
    found: expect.stringContaining('a gateway listens that you may not ask'),
  })
  expect(found.advice).not.toContain('end')
  const sshd = await listening('SSH-2.0-OpenSSH_9.9\r\n')
  expect(await examinePort({ host: '127.0.0.1', port: sshd.port }, config)).toMatchObject({
    state: 'fail',
    advice: expect.stringContaining('another program has it'),
  })
  gateway.close()
  sshd.close()
})

it('what to do about a container or its user names no command of one engine', () => {
  for (const code of ['CONTAINER_NOT_RUNNING', 'USER_NOT_FOUND', 'USER_BROKEN', 'CONTAINER_NOT_FOUND'] as const) {
    expect(containerAdvice(code), code).not.toMatch(/docker|podman|kubectl|nerdctl/)
  }
})
