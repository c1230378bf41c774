/** The README from top to bottom, as a person types it: in a checkout of their own, in a home with a key in it. */
import { spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { copySource, type Source } from '../packaging/source.ts'
import { docker, testName } from '../support/containers.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys } from '../support/ssh.ts'
import { until } from '../support/wait.ts'

const TIMEOUT = 300_000
const demo = testName('demo')

let source: Source
let keys: Keys
let home: string
const children: ReturnType<typeof spawn>[] = []

beforeAll(async () => {
  source = await copySource()
  // As built: the build itself is other tests'.
  await cp(resolve(import.meta.dirname, '../../dist'), join(source.folder, 'dist'), { recursive: true })
  await writeFile(join(source.folder, 'dist', '.hatchway-built'), '')
  keys = await makeKeys()
  home = await mkdtemp(join(tmpdir(), 'hw-test-home-'))
  await mkdir(join(home, '.ssh'), { mode: 0o700 })
  for (const suffix of ['', '.pub']) await cp(`${keys.ed25519}${suffix}`, join(home, '.ssh', `id_ed25519${suffix}`))
}, TIMEOUT)
afterAll(async () => {
  for (const child of children) child.kill('SIGTERM')
  await hatchway('demo', '--stop')
  await source?.close()
  await keys?.close()
  if (home) await rm(home, { recursive: true, force: true })
})

const env = () => ({ HOME: home, SSH_AUTH_SOCK: '', HATCHWAY_TEST_DEMO: demo, XDG_CONFIG_HOME: '', XDG_STATE_HOME: '' })
const hatchway = (...args: string[]) =>
  run('./hatchway', args, { cwd: source.folder, env: env(), limit: TIMEOUT }).then(({ code, stdout, stderr }) => ({
    code,
    out: stdout.toString(),
    err: stderr.toString(),
  }))
/** What was shown to be typed, in another directory; nobody is there to answer a question of ssh's. */
const typed = async (command: string, remote: string) => {
  const whole = command.replace(/^ssh /, 'ssh -o BatchMode=yes -o LogLevel=ERROR ')
  const { code, stdout, stderr } = await run('sh', ['-c', `${whole} '${remote}'`], {
    cwd: '/',
    env: env(),
    limit: 60_000,
  })
  return { code, out: stdout.toString(), err: stderr.toString() }
}
const IN = { code: 0, out: 'dev\n', err: '' }

test(
  'demo --stay, serve, config-ssh, ssh dev@NAME, demo --stop',
  async () => {
    const stays = await hatchway('demo', '--stay')
    expect([stays.code, stays.err]).toEqual([0, expect.stringContaining('proved:')])
    const [, shown = '', port = ''] = /^ {4}(ssh .* -p (\d+) \S+)$/m.exec(stays.out) ?? []
    expect(stays.out).toContain('./hatchway demo --stop')
    expect(await typed(shown, 'id -un')).toEqual(IN)
    // The person's own key does as well as the demo's.
    const own = `ssh -F none -i ${home}/.ssh/id_ed25519 -o IdentitiesOnly=yes -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no`
    expect(await typed(`${own} -p ${port} dev@${demo}@127.0.0.1`, 'id -un')).toEqual(IN)

    const child = spawn('./hatchway', ['serve'], { cwd: source.folder, env: { ...process.env, ...env() } })
    children.push(child)
    const ended = new Promise((done) => child.once('exit', done))
    let log = ''
    child.stderr.setEncoding('utf8').on('data', (text) => {
      log += text
    })
    child.stdout.setEncoding('utf8').on('data', (text) => {
      log += text
    })
    const line = await until('it says what to type', () => /^.*"msg":"ready".*$/m.exec(log)?.[0], 60_000)
    const { command } = JSON.parse(line)
    expect(command).toContain(`UserKnownHostsFile=${source.folder}/keys/known_hosts`)
    expect(log).toContain('another gateway of yours has the usual port')
    const other = /-p (\d+)/.exec(command)?.[1]
    expect(other).not.toBe(port)
    expect(await typed(command.replace(/\S+@127\.0\.0\.1$/, `dev@${demo}@127.0.0.1`), 'id -un')).toEqual(IN)

    const hosts = await hatchway('config-ssh', '--yes')
    expect([hosts.code, hosts.out]).toEqual([0, expect.stringMatching(/^Type: ssh /m)])
    expect((await hatchway('doctor')).out).toMatch(/\nType: ssh USER@CONTAINER\n$/)
    // ssh itself takes the home directory from passwd.
    expect(await typed(`ssh -F ${home}/.ssh/config dev@${demo}`, 'id -un')).toEqual(IN)

    child.kill('SIGTERM')
    await ended
    const pid = (await readFile(join(source.folder, 'keys', 'demo', 'pid'), 'utf8')).trim()
    const stopped = await hatchway('demo', '--stop')
    expect([stopped.code, stopped.out]).toEqual([0, expect.stringContaining('./hatchway demo --stay')])
    expect((await run('kill', ['-0', pid])).code).not.toBe(0)
    expect(await docker('ps', '-aq', '--filter', `name=^${demo}$`)).toBe('')
  },
  TIMEOUT,
)
