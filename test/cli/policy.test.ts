/** `hatchway policy explain | check | schema` as a person types it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { startContainer, type TestContainer } from '../support/containers.ts'
import { MAIN } from '../support/gateway.ts'
import { run } from '../support/run.ts'

// Each call is a node of its own, and some tests make five.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 })

let folder: string
let config: string
let container: TestContainer

const CONFIG = `users:
  alice: { groups: [dev] }
rules:
  - name: nights
    effect: deny
    when: ['22:00-06:00 UTC']
    message: come back tomorrow
  - name: developers
    who: { groups: [dev] }
    users: ['*']
    actions: { exec: ['id', 'id *'], sftp: read-only, forwardLocal: ['localhost:5432'] }
    record: { mode: required, of: [files], notice: true }
  - who: { groups: [dev] }
    actions: { create: [node] }
templates: { node: { image: 'hatchway-busybox:latest', record: required } }
recording: { directory: records, record: best-effort }
`

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hw-test-explain-'))
  config = join(folder, 'hatchway.yaml')
  const keys = join(folder, 'keys')
  const made = await run('ssh-keygen', ['-q', '-N', '', '-t', 'ed25519', '-C', 'kim', '-f', join(folder, 'key')])
  expect(made.code).toBe(0)
  const line = (await run('cat', [join(folder, 'key.pub')])).stdout.toString()
  await writeFile(keys, `restrict,expiry-time="20270201" ${line}`, { mode: 0o600 })
  await writeFile(config, `${CONFIG}authorizedKeys: [${keys}]\n`)
  container = await startContainer('busybox')
})
afterAll(async () => {
  await container?.remove()
  await rm(folder, { recursive: true, force: true })
})

async function hatchway(...args: string[]) {
  const { code, stdout, stderr } = await run(process.execPath, [MAIN, 'policy', ...args, '--config', config], {
    limit: 60_000,
  })
  return { code, out: stdout.toString(), err: stderr.toString() }
}
const explain = (who: string, user: string, ...more: string[]) =>
  hatchway('explain', who, `${user}@${container.name}`, ...more, '--at', '2027-01-12T12:00:00Z')

test('which rule decided, where it stands, and why the others did not', async () => {
  const { code, out } = await explain('alice', 'dev', 'sftp')
  expect([code, out.split('\n')[0]]).toEqual([0, `allowed, to read only by rule 2 "developers" (${config}:8)`])
  expect(out).toMatch(/rule 1 "nights" \(.*:4\) +does not apply: when/)
  expect(out).toContain('alice, groups dev')
})

test('what is recorded: as the rule says, or recording.record, and what a template adds to it', async () => {
  expect((await explain('alice', 'dev', 'sftp')).out).toMatch(/^record {2}required: files; the user is told$/m)
  const made = (await hatchway('explain', 'alice', '+node', '--at', '2027-01-12T12:00:00Z')).out
  expect(made).toMatch(/^record {2}required: terminal, commands, files, forwards$/m)
  expect((await explain('alice', 'dev', 'exec', 'rm')).out).not.toMatch(/^record /m)
  const { out } = await hatchway('explain', 'alice', '+node', '--at', '2027-01-12T12:00:00Z', '--json')
  expect(JSON.parse(out)).toMatchObject({ decision: { record: { mode: 'required', notice: false } } })
})

test('refused: exit code 1, and the sentence of the rule', async () => {
  const night = await hatchway('explain', 'alice', `dev@${container.name}`, 'sftp', '--at', '2027-01-12T23:00:00Z')
  expect([night.code, night.out]).toEqual([1, expect.stringContaining('rule 1 "nights"')])
  expect(night.out).toContain('come back tomorrow')
  expect((await explain('alice', 'root', 'sftp')).out).toMatch(/rule 2 .*does not apply: users/)
  expect((await explain('bob', 'dev', 'sftp')).out).toMatch(/rule 2 .*does not apply: who/)
  expect((await explain('bob', 'dev', 'sftp', '--group', 'dev')).code).toBe(0)
})

test('commands, forwards and bad words', async () => {
  expect((await explain('alice', 'dev', 'exec', 'id -un')).code).toBe(0)
  expect((await explain('alice', 'dev', 'exec', 'id; sh')).code).toBe(1)
  expect((await explain('alice', 'dev', 'forward-local', 'localhost:5432')).code).toBe(0)
  expect((await explain('alice', 'dev', 'forward-local', 'localhost:5433')).code).toBe(1)
  const words = await explain('alice', 'dev', 'exec', 'rm', '-rf', '/', '-h')
  expect([words.code, words.err, words.out]).toEqual([1, '', expect.stringContaining('refused by no rule')])
  expect((await explain('alice', 'dev', 'exec', 'id', '-un')).code).toBe(0)
  const option = await explain('alice', 'dev', 'sftp', '-rf')
  expect([option.code, option.err]).toEqual([1, expect.stringContaining("unknown option '-rf'")])
  const bad = await explain('alice', 'dev', 'dance')
  expect([bad.code, bad.err]).toEqual([
    2,
    expect.stringContaining('"dance" is none of create (of +TEMPLATE), enter, start, debug, shell'),
  ])
})

test('the options of a key that goes by the name count', async () => {
  const { code, out } = await explain('kim', 'dev', 'pty')
  expect([code, out.split('\n')[0]]).toEqual([1, 'refused by key: the key does not permit a terminal'])
  expect(out).toMatch(/key SHA256:\S+ \(.*keys:1\)/)
})

test('JSON', async () => {
  const { out } = await explain('alice', 'dev', 'sftp', '--json')
  expect(JSON.parse(out)).toMatchObject({
    decision: { allowed: true, readOnly: true },
    user: { name: 'dev', uid: 1000 },
    steps: [{ by: 'key' }, { by: 'labels' }, { why: 'does not apply: when' }],
  })
})

test('check says what may not be meant; schema is JSON', async () => {
  const { code, out } = await hatchway('check')
  expect(code).toBe(0)
  expect(out).toContain(`warning: ${config}:8: rules.1: sftp is to read only, but shell or exec can write all the same`)
  const schema = await run(process.execPath, [MAIN, 'policy', 'schema'])
  expect(JSON.parse(schema.stdout.toString())).toMatchObject({ question: { type: 'object' }, answer: { anyOf: {} } })
})

test('without a container: who may do what where', async () => {
  const { code, out } = await hatchway('explain', 'alice', '--at', '2027-01-12T12:00:00Z')
  expect(code).toBe(0)
  expect(out).toMatch(
    /^alice, groups dev, no key of that name was found\nfrom 127.0.0.1 at 2027-01-12T12:00:00.000Z\n\nCONTAINER +AS +SHELL/,
  )
  expect(out).toMatch(new RegExp(`^${container.name} +\\* +- +some +read +some +- `, 'm'))
  const night = await hatchway('explain', 'alice', '--at', '2027-01-12T23:00:00Z')
  expect([night.code, night.out]).toEqual([1, expect.stringContaining('nothing, nowhere')])
})

test('create is asked of a template, before there is a container', async () => {
  const allowed = await hatchway('explain', 'alice', '+node', '--at', '2027-01-12T12:00:00Z')
  expect([allowed.code, allowed.out]).toEqual([
    0,
    expect.stringMatching(/^allowed by rule 3[\s\S]*where +hatchway-node-/),
  ])
  expect((await hatchway('explain', 'bob', '+node', 'create')).code).toBe(1)
  const shell = await hatchway('explain', 'alice', 'dev@+node', 'shell')
  expect([shell.code, shell.err]).toEqual([2, expect.stringContaining('only create can be asked')])
  expect((await hatchway('explain', 'alice', '+nothing')).err).toContain('no template')
})
