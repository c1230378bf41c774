/** What an auditor learns from the files of a real gateway alone, by a script that has nothing of ours; and that lies are found. */
import { createHash, randomBytes } from 'node:crypto'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startContainer, type TestContainer } from '../support/containers.ts'
import { startGateway } from '../support/gateway.ts'
import { hatchway } from '../support/program.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient } from '../support/ssh.ts'
import { until } from '../support/wait.ts'

const AUDITOR = join(import.meta.dirname, 'auditor.mjs')
/** More than one packet. */
const UP = randomBytes(300_000)
const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex')

let folder: string
let file: string
let keys: Keys
let container: TestContainer
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hw-test-auditor-'))
  file = join(folder, 'audit.jsonl')
  keys = await makeKeys()
  container = await startContainer('busybox')
  const config = join(folder, 'hatchway.yaml')
  const audit = { file, format: 'ocsf', anchorFile: join(folder, 'heads'), headEvery: '1s' }
  const recording = { directory: join(folder, 'records'), record: { mode: 'required', of: ['terminal'] } }
  const actions = { shell: true, pty: true, exec: true, sftp: true, forwardLocal: ['localhost:8080'] }
  const rules = [{ name: 'all but other ports', users: ['root'], actions }]
  await writeFile(config, JSON.stringify({ log: { format: 'json', commands: true }, audit, recording, rules }))
  const keysDirectory = join(folder, 'keys')
  const gateway = await startGateway({ keys, engine: 'docker', args: ['--config', config, '--keys', keysDirectory] })
  const client = await makeSshClient(gateway.target(`root@${container.name}`))
  try {
    await writeFile(join(folder, 'up'), UP)
    await container.inside('mkdir -p /srv && printf secret >/srv/secret && printf hello >/srv/index.html')
    await container.inside('httpd -p 127.0.0.1:8080 -h /srv')
    expect((await client.ssh(['t', 'cat /etc/hostname; exit 3'])).code).toBe(3)
    expect((await client.sftp(`put ${join(folder, 'up')} /srv/up\nget /srv/up ${join(folder, 'back')}`)).code).toBe(0)
    expect((await client.scp(['-O', 't:/srv/secret', join(folder, 'stolen')])).code).toBe(0)
    const page = await client.ssh(['-W', 'localhost:8080', 't'], { input: 'GET /index.html HTTP/1.0\r\n\r\n' })
    expect(page.stdout.toString()).toContain('hello')
    await client.ssh(['-W', 'localhost:22', 't'])
    const terminal = client.terminal(['-tt', 't'])
    terminal.send('echo typed $((6 * 7)); exit\n')
    expect(await terminal.exit()).toBe(0)
    // A head elsewhere has seen all that matters.
    await until('there is a head', async () => (await readFile(join(folder, 'heads'), 'utf8').catch(() => '')) !== '')
  } finally {
    await client.close()
    await gateway.stop()
  }
  const signers = await Promise.all(
    ['audit', 'records'].map(async (what) => (await hatchway([what, 'key', '--keys', keysDirectory])).out),
  )
  await writeFile(join(folder, 'signers'), signers.join(''))
})
afterAll(async () => {
  await container?.remove()
  await keys?.close()
  await rm(folder, { recursive: true, force: true })
})

async function audited(
  trail = file,
  records = join(folder, 'records'),
): Promise<{ code: number | null; answers: Record<string, unknown> }> {
  const day = new Date().toISOString().slice(0, 10)
  const about = ['--container', container.name, '--day', day, '--signers', join(folder, 'signers')]
  const { code, stdout, stderr } = await run('node', [
    AUDITOR,
    trail,
    ...about,
    '--heads',
    join(folder, 'heads'),
    '--records',
    records,
  ])
  expect(stderr.toString()).toBe('')
  return { code: typeof code === 'number' ? code : null, answers: JSON.parse(stdout.toString()) }
}

test('who was there, what they ran, what left and came with which hashes, which ports were reached, and what was refused', async () => {
  const { code, answers } = await audited()
  expect(answers).toEqual({
    problems: [],
    who: [expect.any(String)],
    as: ['root'],
    commands: expect.arrayContaining(['cat /etc/hostname; exit 3', 'scp -f /srv/secret']),
    left: [
      { path: '/srv/up', bytes: UP.length, sha256: sha256(UP) },
      { path: '/srv/secret', bytes: 6, sha256: sha256('secret') },
    ],
    came: [{ path: '/srv/up', bytes: UP.length, sha256: sha256(UP) }],
    ports: ['localhost:8080'],
    refused: [{ asked: 'forward-local', host: 'localhost', port: 22, rule: 'no rule' }],
    screens: [
      { who: expect.any(String), session: expect.any(String), saw: expect.stringMatching(/echo typed .*typed 42/s) },
    ],
  })
  expect(code).toBe(0)
})

test.each<[string, (lines: string[]) => string[], RegExp]>([
  [
    'a flipped bit',
    ([...lines]) => lines.map((line, at) => (at === 4 ? line.replace('"at":"2', '"at":"3') : line)),
    /record 5 or 6 was changed/,
  ],
  ['a removed line', (lines) => lines.toSpliced(4, 1), /record 6 follows record 4/],
  [
    'two lines that changed places',
    (lines) => lines.toSpliced(4, 2, lines[5] ?? '', lines[4] ?? ''),
    /record 6 follows record 4/,
  ],
  ['a cut end', (lines) => lines.slice(0, 6), /which a head has seen, is gone/],
])('%s is found', async (_what, change, said) => {
  const copy = join(folder, 'copy.jsonl')
  await cp(file, copy)
  const lines = (await readFile(file, 'utf8')).split('\n').slice(0, -1)
  await writeFile(copy, `${change(lines).join('\n')}\n`)
  const { code, answers } = await audited(copy)
  expect([answers.problems].flat().join('\n')).toMatch(said)
  expect(code).toBe(1)
  const keysDirectory = join(folder, 'keys')
  const ours = await hatchway(['audit', 'verify', copy, '--anchor', join(folder, 'heads'), '--keys', keysDirectory])
  expect(ours.code).toBe(1)
})

test.each<[string, string, string, RegExp]>([
  [
    'a byte of what was shown that somebody flipped',
    'session.cast.gz',
    'session.cast.gz',
    /session.cast.gz of record .* is not what was signed/,
  ],
  ['another file in its place', 'manifest.json', 'session.cast.gz', /is not what was signed/],
  ['a manifest that was changed', 'manifest.json', 'manifest.json', /is not signed by a key that may sign/],
])('%s is found', async (_what, from, to, said) => {
  const records = await mkdtemp(join(folder, 'records-copy-'))
  await cp(join(folder, 'records'), records, { recursive: true })
  const ids = (await readdir(records)).sort()
  const casts = await Promise.all(ids.map((id) => readdir(join(records, id))))
  const id = ids[casts.findIndex((names) => names.includes('session.cast.gz'))] ?? ''
  const bytes = await readFile(join(records, id, from))
  const changed =
    from === 'manifest.json'
      ? Buffer.from(bytes.toString().replace('"tty": true', '"tty":true ').replace('"tty":true,', '"tty":false,'))
      : bytes
  if (from !== 'manifest.json') changed[changed.length - 6] = (changed.at(-6) ?? 0) ^ 1
  await writeFile(join(records, id, to), changed)
  const { code, answers } = await audited(file, records)
  expect([answers.problems].flat().join('\n')).toMatch(said)
  expect(code).toBe(1)
})
