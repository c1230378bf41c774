/** The audit trail of a real gateway: what an auditor learns from the files alone, and what a full disk does. */
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startContainer, type TestContainer } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { hatchway } from '../support/program.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'
import { until } from '../support/wait.ts'

type Line = Readonly<Record<string, unknown>>

let folder: string
let keys: Keys
let container: TestContainer
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hw-test-audit-e2e-'))
  keys = await makeKeys()
  container = await startContainer('busybox')
})
afterAll(async () => {
  await container?.remove()
  await keys?.close()
  await rm(folder, { recursive: true, force: true })
})

async function start(file: string, more: object = {}): Promise<{ gateway: Gateway; keysDirectory: string }> {
  const config = join(folder, `${Math.random()}.yaml`)
  const keysDirectory = join(folder, `keys-${Math.random()}`)
  await writeFile(config, JSON.stringify({ log: { format: 'json', commands: true }, audit: { file, ...more } }))
  // The last --keys is taken: the key of the trail must outlive the gateway.
  const gateway = await startGateway({ keys, engine: 'docker', args: ['--config', config, '--keys', keysDirectory] })
  return { gateway, keysDirectory }
}

async function search(file: string, keysDirectory: string, ...args: string[]): Promise<Line[]> {
  const { code, out, err } = await hatchway(['audit', 'search', file, '--json', '--keys', keysDirectory, ...args])
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return out
    .split('\n')
    .filter((line) => line !== '')
    .map((line): Line => JSON.parse(line))
}

describe('a trail', () => {
  let file: string
  let keysDirectory: string
  let gateway: Gateway
  let client: SshClient
  beforeAll(async () => {
    file = join(folder, 'audit.jsonl')
    ;({ gateway, keysDirectory } = await start(file, { anchorFile: join(folder, 'heads'), headEvery: '1s' }))
    client = await makeSshClient(gateway.target(`root@${container.name}`))
    await client.ssh(['t', 'echo hello; exit 3'])
    await writeFile(join(client.dir, 'up'), 'hello\n')
    await client.sftp(`put ${join(client.dir, 'up')} /tmp/up\nrename /tmp/up /tmp/moved`)
    await client.ssh(['-W', 'localhost:9', 't'])
    const stranger = await makeKeys()
    const other = await makeSshClient({ ...gateway.target(`root@${container.name}`), key: stranger.ed25519 })
    await other.ssh(['t', 'true'])
    await other.close()
    await stranger.close()
    await gateway.stop()
  })
  afterAll(async () => {
    await client?.close()
    await gateway?.stop()
  })

  test('answers who was in the container, what they ran, and how it ended', async () => {
    const sessions = await search(file, keysDirectory, '--container', container.name, '--action', 'session-*')
    expect(sessions.slice(0, 2)).toMatchObject([
      { action: 'session-start', kind: 'exec', command: 'echo hello; exit 3', user: 'root', outcome: 'ok' },
      { action: 'session-end', exit: { code: 3 }, bytesOut: 6 },
    ])
    for (const line of sessions) {
      expect(line).toMatchObject({
        gateway: { id: expect.stringMatching(/^[0-9a-f]{32}$/), host: expect.any(String) },
        container: {
          name: container.name,
          id: expect.stringMatching(/^[0-9a-f]{64}$/),
          image: expect.any(String),
          engine: expect.any(String),
        },
        remote: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
        fingerprint: expect.stringMatching(/^SHA256:/),
        connection: expect.any(String),
        login: `root@${container.name}`,
      })
    }
  })

  test('answers what was done to which files, and which ports were asked for', async () => {
    const files = await search(file, keysDirectory, '--action', 'file')
    expect(files.map(({ operation, path, target, result }) => [operation, path, target, result])).toEqual([
      ['open', '/tmp/up', undefined, 'OK'],
      ['close', '/tmp/up', undefined, 'OK'],
      ['rename', '/tmp/up', '/tmp/moved', 'OK'],
    ])
    expect(files[1]).toMatchObject({
      bytesWritten: 6,
      sha256Written: createHash('sha256').update('hello\n').digest('hex'),
    })
    const forwards = await search(file, keysDirectory, '--action', 'forward-*')
    expect(forwards).toMatchObject([{ outcome: 'failed', place: 'localhost:9', reason: 'Connection refused' }])
  })

  test('answers who was let in and who was not', async () => {
    const accepted = await search(file, keysDirectory, '--action', 'login', '--outcome', 'ok')
    expect(accepted).toHaveLength(3)
    expect(accepted[0]).toMatchObject({ method: 'publickey', leadsTo: container.name, identity: expect.any(String) })
    const refused = await search(file, keysDirectory, '--action', 'login', '--outcome', 'refused')
    expect(refused.length).toBeGreaterThan(0)
    expect(refused[0]).toMatchObject({ method: 'publickey', fingerprint: expect.stringMatching(/^SHA256:/) })
    expect(refused[0]).not.toHaveProperty('identity')
  })

  test('is whole from the gateway’s start to its end, also by the heads that are elsewhere', async () => {
    const { code, out } = await hatchway([
      'audit',
      'verify',
      file,
      '--anchor',
      join(folder, 'heads'),
      '--keys',
      keysDirectory,
    ])
    expect({ code, text: out }).toEqual({ code: 0, text: expect.stringMatching(/: whole\n$/) })
    const all = await search(file, keysDirectory)
    expect([all.at(0)?.action, all.at(-1)?.action]).toEqual(['gateway-start', 'gateway-end'])
    const heads = (await readFile(join(folder, 'heads'), 'utf8')).trim().split('\n')
    expect(heads.length).toBeGreaterThan(0)
  })

  test('whose middle or end somebody changed is found', async () => {
    const lines = (await readFile(file, 'utf8')).split('\n')
    const copy = join(folder, 'changed.jsonl')
    const verify = (...args: string[]) => hatchway(['audit', 'verify', copy, '--keys', keysDirectory, ...args])
    await writeFile(copy, lines.filter((line) => !line.includes('"operation":"rename"')).join('\n'))
    expect(await verify()).toMatchObject({ code: 1 })
    await writeFile(copy, `${lines.slice(0, 6).join('\n')}\n`)
    expect(await verify()).toMatchObject({ code: 0 })
    expect(await verify('--anchor', join(folder, 'heads'))).toMatchObject({ code: 1 })
  })
})

test('on a full disk nothing new begins and what runs goes on, until there is room', async () => {
  const disk = join(folder, 'disk')
  await mkdir(disk)
  const mounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk])
  expect(mounted.code).toBe(0)
  const file = join(disk, 'audit.jsonl')
  const { gateway, keysDirectory } = await start(file, { onFailure: 'refuse' })
  const client = await makeSshClient(gateway.target(`root@${container.name}`))
  try {
    const running = client.ssh(['t', 'echo begun >/tmp/begun; while [ ! -e /tmp/go ]; do sleep 0.1; done; exit 4'])
    await until('it runs', async () => (await container.inside('cat /tmp/begun')).code === 0)
    await run('sh', ['-c', `dd if=/dev/zero of=${disk}/ballast bs=1k count=64 2>/dev/null`])
    let last = await client.ssh(['t', 'true'])
    for (let count = 0; count < 20 && last.code !== 255; count++) last = await client.ssh(['t', 'true'])
    expect({ code: last.code, said: last.stderr.toString() }).toEqual({
      code: 255,
      said: expect.stringContaining('hatchway: nothing may go unrecorded, and the audit trail cannot be written'),
    })
    expect(gateway.log()).toContain('AUDIT_UNAVAILABLE')
    await container.inside('touch /tmp/go')
    expect((await running).code).toBe(4)
    await rm(join(disk, 'ballast'))
    await until('it is written again', () => gateway.log().includes('the audit trail is written again'))
    expect((await client.ssh(['t', 'true'])).code).toBe(0)
    await gateway.stop()
    const { code } = await hatchway(['audit', 'verify', file, '--keys', keysDirectory])
    expect(code).toBe(0)
    expect(await search(file, keysDirectory, '--outcome', 'failed', '--action', 'session-end')).toMatchObject([
      { code: 'AUDIT_UNAVAILABLE' },
    ])
  } finally {
    await client.close()
    await gateway.stop()
    await run('umount', [disk])
  }
})
