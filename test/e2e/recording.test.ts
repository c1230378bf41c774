/** Recordings of a real gateway: what somebody saw is in the record, byte for byte, whatever happens to gateway and disk. */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openSigningKey } from '../../src/evidence/audit/signing-key.ts'
import { type CastEvent, readCast, recordLines } from '../../src/evidence/recording/read-stream.ts'
import { listRecords, type RecordEntry } from '../../src/evidence/recording/records.ts'
import { verifyRecord } from '../../src/evidence/recording/verify.ts'
import { fingerprint } from '../../src/ssh/public-key.ts'
import { all, bytesIn, castOf } from '../evidence/recording/world.ts'
import { startContainer, type TestContainer } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { hatchway } from '../support/program.ts'
import { openTerminal } from '../support/pty.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'
import { until } from '../support/wait.ts'

let folder: string
let keys: Keys
let container: TestContainer
/** Also those of a test that failed. */
const opened: Recorded[] = []
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hw-test-recording-'))
  keys = await makeKeys()
  container = await startContainer('busybox')
})
afterAll(async () => {
  for (const world of opened) await end(world)
  await container?.remove()
  await keys?.close()
  await rm(folder, { recursive: true, force: true })
})

interface Recorded {
  readonly gateway: Gateway
  readonly client: SshClient
  readonly directory: string
  readonly keysDirectory: string
  /** The command line, as a person has it. */
  command(...args: string[]): ReturnType<typeof hatchway>
  /** The record of the session that ran this. */
  of(command: string, state?: RecordEntry['state']): Promise<RecordEntry>
  cast(id: string): Promise<CastEvent[]>
  output(id: string): Promise<Buffer>
  /** What is wrong with it. */
  problems(id: string): Promise<readonly string[]>
}

interface Place {
  readonly directory?: string
  readonly keysDirectory?: string
  readonly guest?: 'off'
}

async function start(
  record: unknown,
  {
    directory = join(folder, `records-${Math.random()}`),
    keysDirectory = join(folder, `keys-${Math.random()}`),
    guest,
  }: Place = {},
): Promise<Recorded> {
  const config = join(folder, `${Math.random()}.yaml`)
  await writeFile(config, JSON.stringify({ log: { format: 'json' }, recording: { directory, record } }))
  const args = ['--config', config, '--keys', keysDirectory]
  const gateway = await startGateway({ keys, engine: 'docker', args, ...(guest && { guest }) })
  const client = await makeSshClient(gateway.target(`root@${container.name}`))
  const { blob } = await openSigningKey(keysDirectory)
  const world: Recorded = {
    ...{ gateway, client, directory, keysDirectory },
    command: (...more) => hatchway([...more, '--config', config]),
    of: (text, state = 'complete') =>
      until(`a record of ${text} that is ${state}`, async () =>
        (await all(listRecords(directory))).find((one) => one.state === state && what(one).includes(text)),
      ),
    cast: (id) => castOf(directory, id),
    output: (id) => bytesIn(directory, id, 'o'),
    problems: async (id) => (await verifyRecord(directory, id, new Set([fingerprint(blob)]))).problems,
  }
  opened.push(world)
  return world
}

function what({ facts }: RecordEntry): string {
  return facts?.command ?? facts?.start ?? ''
}

async function end({ client, gateway }: Recorded): Promise<void> {
  await client.close()
  await gateway.stop()
}

/** Invalid and split UTF-8, NUL, an escape and a line without an end. */
const ODD = String.raw`printf 'a\377\303(\355\240\200\000\033[1mb\360\237'; sleep 0.1; printf '\230\200 '; head -c 300000 /dev/zero | tr '\0' x`

describe('a session', () => {
  let world: Recorded
  beforeAll(async () => {
    world = await start({ mode: 'required', notice: true })
  })
  afterAll(() => world && end(world))

  test('of a command has its exact stdout and stderr, and its end', async () => {
    const { client, command, of, output, directory } = world
    const { stdout, stderr, code } = await client.ssh(['t', `${ODD}; echo no >&2; exit 3 # odd`])
    expect({ code, said: stderr.toString() }).toEqual({ code: 3, said: 'hatchway: this session is recorded\nno\n' })
    const { id, facts } = await of('# odd')
    expect(facts).toMatchObject({ outcome: { code: 3 }, tty: false, user: 'root', container: { name: container.name } })
    expect((await output(id)).equals(stdout)).toBe(true)
    expect((await bytesIn(directory, id, 'e')).toString()).toBe('no\n')
    const { code: verified, out } = await command('records', 'verify', id, '--keys', world.keysDirectory)
    expect({ verified, out }).toEqual({ verified: 0, out: `${id}: complete\n` })
    expect((await command('records')).out).toMatch(new RegExp(`${id} +complete .*${container.name}`))
  })

  test('on a terminal has its sizes and what it showed, and asciinema plays it', async () => {
    const { client, of, cast, command, directory } = world
    const shown = client.terminal(['-tt', 't', 'echo begun; read x; stty size; echo $x-y # size'], { cols: 1, rows: 1 })
    await shown.expect('begun')
    shown.resize(1000, 1000)
    shown.send('typed\r')
    expect(await shown.exit()).toBe(0)
    const { id } = await of('# size')
    const { header } = await readCast(join(directory, id, 'session.cast.gz'))
    expect(header.term).toMatchObject({ cols: 1, rows: 1 })
    const events = await cast(id)
    const codes = new Map(events.map(({ code, data }) => [code, data]))
    expect([codes.get('r'), codes.get('i'), codes.get('x')]).toEqual(['1000x1000', undefined, '0'])
    const text = events.filter(({ code }) => code === 'o').map(({ data }) => data)
    expect(text.join('')).toMatch(/begun[\s\S]*typed[\s\S]*1000 1000[\s\S]*typed-y/)
    const file = join(folder, 'v2.cast')
    await writeFile(file, (await command('replay', id, '--cast-v2')).out)
    // It opens /dev/tty.
    if (await run('asciinema', ['--version']).catch(() => undefined)) {
      const played = openTerminal('asciinema', ['cat', file], { env: { LC_ALL: 'C.UTF-8' } })
      await played.expect('typed-y')
      expect(await played.exit()).toBe(0)
    }
  })

  test('has the files of sftp with their hashes', async () => {
    const { client, of, directory, command } = world
    await writeFile(join(client.dir, 'up'), 'hello\n')
    await client.sftp(`put ${join(client.dir, 'up')} /tmp/up`)
    const { id } = await of('sftp')
    const files = (await all(recordLines(join(directory, id, 'events.jsonl.gz')))).map((line) => JSON.parse(line))
    expect(files.at(-1)).toMatchObject({ type: 'file', operation: 'close', path: '/tmp/up', bytesWritten: 6 })
    const replayed = await command('replay', id)
    expect(replayed.code).toBe(1)
    expect(replayed.err).toContain(`zcat ${join(directory, id, 'events.jsonl.gz')}`)
    expect(JSON.stringify(files.at(-1))).toContain('5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03')
  })

  test('has the forwards of its connection', async () => {
    const { client, of, directory } = world
    const listening = 'nc -l -p 7007 -e echo inside & sleep 0.5'
    const through = client.ssh(['-L', `${client.dir}/s:localhost:7007`, 't', `${listening}; sleep 3 # forwards`])
    await until('it is forwarded', async () => {
      const said = await all(connect(join(client.dir, 's'))).catch(() => [])
      return said.join('') === 'inside\n'
    })
    await through
    const { id } = await of('# forwards')
    const lines = (await all(recordLines(join(directory, id, 'events.jsonl.gz')))).map((line) => JSON.parse(line))
    expect(lines).toContainEqual(
      expect.objectContaining({ type: 'forward-ended', kind: 'local', place: 'localhost:7007', bytesOut: 7 }),
    )
  })

  test('of which a byte was changed, a line removed, the end cut or a file swapped is found', async () => {
    const { of, directory, problems } = world
    const [{ id }, other] = [await of('# odd'), await of('# size')]
    const file = join(directory, id, 'session.cast.gz')
    const was = await readFile(file)
    const lines = await all(recordLines(file))
    const flipped = Buffer.from(was)
    flipped[100] = (flipped[100] ?? 0) ^ 1
    const changes = {
      flipped,
      'a line removed': gzipSync([...lines.slice(0, 2), ...lines.slice(3)].join('\n')),
      cut: was.subarray(0, -30),
      swapped: await readFile(join(other.folder, 'session.cast.gz')),
    }
    for (const [what, content] of Object.entries(changes)) {
      await writeFile(file, content)
      expect(await problems(id), what).toEqual([expect.stringContaining('session.cast.gz')])
    }
    await writeFile(file, was)
    const manifest = join(directory, id, 'manifest.json')
    const said = await readFile(manifest, 'utf8')
    await writeFile(manifest, said.replace('"code": 3', '"code": 0'))
    expect(await problems(id)).toEqual([expect.stringContaining('manifest.json was changed')])
    await writeFile(manifest, said)
    expect(await problems(id)).toEqual([])
  })
})

test('by the plain road it is recorded, too', async () => {
  const world = await start('required', { guest: 'off' })
  await world.client.ssh(['t', 'echo plain'])
  const { id } = await world.of('echo plain')
  expect((await world.command('replay', id)).out).toBe('plain\n')
  await end(world)
})

test('after kill -9 it is read to the last half second, and the next start seals it', async () => {
  const world = await start('required')
  const session = world.client.ssh(['t', 'echo before; sleep 60'])
  const live = await world.of('echo before', 'live')
  await until('it is written', async () => {
    // Its facts are there before its first output.
    const isThere = existsSync(join(world.directory, live.id, 'session.cast.gz'))
    return isThere && (await world.output(live.id)).toString() === 'before\n'
  })
  process.kill(world.gateway.pid, 'SIGKILL')
  await session
  const { directory, keysDirectory } = world
  const next = await start('required', { directory, keysDirectory })
  expect((await next.of('echo before', 'incomplete')).id).toBe(live.id)
  expect(await next.problems(live.id)).toEqual([])
  expect((await next.output(live.id)).toString()).toBe('before\n')
  await end(next)
  await world.client.close()
})

describe('on a full disk', () => {
  let disk: string
  beforeAll(async () => {
    disk = join(folder, 'disk')
    await mkdir(disk)
    expect((await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk])).code).toBe(0)
  })
  afterAll(async () => {
    // A gateway of a test that failed may still have it.
    await run('umount', ['-l', disk])
  })
  const fill = () => run('sh', ['-c', `dd if=/dev/zero of=${disk}/ballast bs=4k 2>/dev/null`])

  test('one that must be recorded waits, another does not begin, and both are right when there is room', async () => {
    const world = await start('required', { directory: join(disk, 'required') })
    const { client, of, gateway, problems, output } = world
    const size = 6_000_000
    const many = client.ssh(['t', `head -c ${size} /dev/urandom; echo done >&2 # many`])
    await until('the disk is full', () => gateway.log().includes('a recording cannot be written: its session waits'))
    await fill()
    const refused = await client.ssh(['t', 'true'])
    expect({ code: refused.code, said: refused.stderr.toString() }).toEqual({
      code: 255,
      said: expect.stringContaining('hatchway: this session must be recorded, and cannot be'),
    })
    expect((await run('mount', ['-o', 'remount,size=64m', disk])).code).toBe(0)
    const { stdout, code } = await many
    expect({ code, bytes: stdout.length }).toEqual({ code: 0, bytes: size })
    const { id } = await of('# many')
    expect((await output(id)).equals(stdout)).toBe(true)
    expect(await problems(id)).toEqual([])
    await end(world)
  })

  test('one that need not be recorded goes on, and its record has the gap', async () => {
    const world = await start('best-effort', { directory: join(disk, 'best') })
    const { client, of, cast, output } = world
    const running = client.ssh([
      't',
      'echo first; while [ ! -e /tmp/go ]; do sleep 0.1; done; head -c 20000000 /dev/zero; echo last # gap',
    ])
    await until('it is recorded', async () => {
      const { id } = await of('# gap', 'live')
      return (await output(id)).includes('first')
    })
    await fill()
    await container.inside('touch /tmp/go')
    const { code, stdout } = await running
    expect({ code, bytes: stdout.length }).toEqual({ code: 0, bytes: 20_000_011 })
    await rm(join(disk, 'ballast'))
    const { id, facts } = await of('# gap', 'gap')
    const bytes = facts && 'gaps' in facts ? facts.gaps.bytes : 0
    expect(bytes).toBeGreaterThan(1_000_000)
    const missing = (await cast(id)).filter(({ code }) => code === 'g').map(({ data }) => Number(data))
    expect(missing.reduce((sum, one) => sum + one, 0)).toBe(bytes)
    await end(world)
  })
})
