/** scp and sftp without the guest helper: through the engine's copy call, in images with nothing inside, also stopped. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { docker, startContainer, type TestContainer } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'

let work: string
let keys: Keys
beforeAll(async () => {
  keys = await makeKeys()
  work = await mkdtemp(join(tmpdir(), 'hw-test-plain-files-'))
  const script = `mkdir -p tree/sub/deep tree/empty; for i in $(seq 6); do echo $i >tree/f$i; done
    head -c 3000000 /dev/urandom >tree/sub/big; printf x >'tree/a "name" é'; : >tree/sub/deep/nothing; ln -s ../f1 tree/sub/link
    chmod 750 tree/f1; touch -d '2001-02-03 04:05:06 UTC' tree/f1 tree/sub/deep; chmod 700 tree/sub`
  expect((await run('sh', ['-euc', script], { cwd: work })).stderr.toString()).toBe('')
})
afterAll(async () => {
  await keys?.close()
  await rm(work, { recursive: true, force: true })
})
const same = async (a: string, b: string) => (await run('diff', ['-r', join(work, a), join(work, b)])).stdout.toString()

describe.each(['docker', 'cli'] as const)('without the helper on %s', (engine) => {
  let gateway: Gateway
  const open: { close(): Promise<void> }[] = []
  beforeAll(async () => {
    gateway = await startGateway({ keys, engine, guest: 'off' })
  })
  afterAll(async () => {
    for (const one of open.splice(0)) await one.close()
    await gateway?.stop()
  })
  const enter = async (user: string): Promise<SshClient> => {
    const client = await makeSshClient(gateway.target(user))
    open.push(client)
    return client
  }
  const container = async (...args: Parameters<typeof startContainer>): Promise<TestContainer> => {
    const made = await startContainer(...args)
    open.push({ close: () => made.remove() })
    return made
  }

  test('scp -r -p puts and gets a tree in an image with no shell, modes and times kept', async () => {
    const { name } = await container('scratch')
    const client = await enter(name)
    const back = await mkdtemp(join(work, 'back-'))
    const up = await client.scp(['-r', '-p', join(work, 'tree'), 't:/data'], { limit: 100_000 })
    expect(up.stderr.toString()).toBe('')
    const down = await client.scp(['-r', '-p', 't:/data', join(back, 'tree')], { limit: 100_000 })
    expect(down.stderr.toString()).toBe('')
    expect(await same('tree', `${back.slice(work.length)}/tree`)).toBe('')
    const { stdout } = await run('stat', ['-c', '%a %Y', 'f1', 'sub/deep'], { cwd: join(back, 'tree') })
    expect(stdout.toString()).toBe('750 981173106\n755 981173106\n')
  }, 240_000)

  test('sftp lists, makes directories and links, changes attributes; files belong to the user', async () => {
    const made = await container('busybox')
    const client = await enter(`dev@${made.name}`)
    await writeFile(join(work, 'one'), 'one\n')
    const done = await client.sftp(
      [
        'pwd',
        'mkdir d',
        'cd d',
        `put ${work}/one`,
        'chmod 600 one',
        'ln -s one soft',
        'ls -l',
        `get soft ${work}/got`,
        '',
      ].join('\n'),
    )
    expect(done.stderr.toString()).toBe('')
    expect(done.code).toBe(0)
    expect(done.stdout.toString()).toContain('Remote working directory: /home/dev\n')
    expect(done.stdout.toString()).toMatch(/^-rw------- .* 1000 .* 1000 .* one$/m)
    expect(await readFile(join(work, 'got'), 'utf8')).toBe('one\n')
    const inside = await made.inside('cd /home/dev/d; stat -c "%u:%g %a %n" . one; readlink soft', '1000')
    expect(inside.stdout.toString()).toBe('1000:1000 755 .\n1000:1000 600 one\none\n')
  })

  test('says what cannot be done, and what the user may not', async () => {
    const made = await container('busybox')
    const client = await enter(`dev@${made.name}`)
    const removed = await client.sftp('rm /etc/hosts\n')
    expect(removed.code).toBe(1)
    expect(removed.stderr.toString()).toMatch(/removing and renaming needs the guest helper/)
    const [read, write, device] = [
      await client.scp(['t:/root', work]),
      await client.scp([join(work, 'one'), 't:/etc/passwd']),
      await client.scp([join(work, 'one'), 't:/dev/null']),
    ]
    expect(write.stderr.toString()).toContain('Permission denied')
    for (const { code } of [read, write, device]) expect(code).not.toBe(0)
    expect((await made.inside('test -c /dev/null && head -1 /etc/passwd')).stdout.toString()).toMatch(/^root:/)
  })

  test('a disk that fills in the middle is told, and what was there stays', async () => {
    const made = await container('busybox', { args: ['-v', `/disk`] })
    // An anonymous volume of our own making: a small file system that the copy call sees (it sees no tmpfs).
    const client = await enter(`root@${made.name}`)
    await docker('exec', made.name, 'sh', '-c', 'echo before >/disk/file')
    const source = (await docker('inspect', '-f', '{{(index .Mounts 0).Source}}', made.name)).trim()
    const mounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', source])
    if (mounted.code !== 0) return expect(mounted.stderr.toString()).toMatch(/permission|superuser/)
    try {
      const done = await client.scp([join(work, 'tree/sub/big'), 't:/disk/big'], { limit: 100_000 })
      expect(done.code).not.toBe(0)
      expect(done.stderr.toString()).toMatch(/No space left/i)
    } finally {
      await run('umount', [source])
    }
  })

  test("the gateway's own disk that fills costs the container's file nothing", async () => {
    const made = await container('busybox')
    await made.inside('echo before >/file')
    const small = await mkdtemp(join(work, 'small-'))
    const mounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small])
    if (mounted.code !== 0) return expect(mounted.stderr.toString()).toMatch(/permission|superuser/)
    const narrow = await startGateway({ keys, engine, guest: 'off', env: { TMPDIR: small } })
    try {
      const client = await makeSshClient(narrow.target(`root@${made.name}`))
      open.push(client)
      const done = await client.scp([join(work, 'tree/sub/big'), 't:/file'], { limit: 100_000 })
      expect(done.code).not.toBe(0)
      expect((await made.inside('cat /file')).stdout.toString()).toBe('before\n')
    } finally {
      await narrow.stop()
      await run('umount', [small])
    }
  })

  test('a client that goes in the middle leaves no half of a file', async () => {
    const made = await container('busybox')
    const client = await enter(`dev@${made.name}`)
    await run('truncate', ['-s', '200M', join(work, 'large')])
    const cut = await client.scp(['-l', '20000', join(work, 'large'), 't:large'], { limit: 3000 })
    expect(cut.timedOut).toBe(true)
    expect((await made.inside('ls -A /home/dev')).stdout.toString()).not.toContain('large')
  })

  test('files go in and out of a stopped container; a command there is refused', async () => {
    const made = await container('busybox')
    await docker('stop', '-t', '1', made.name)
    const client = await enter(`dev@${made.name}`)
    expect((await client.scp([join(work, 'one'), 't:stopped'])).stderr.toString()).toBe('')
    await mkdir(join(work, engine))
    expect((await client.scp(['t:stopped', join(work, engine)])).code).toBe(0)
    expect(await readFile(join(work, engine, 'stopped'), 'utf8')).toBe('one\n')
    expect((await client.exec('true')).stderr.toString()).toContain('is stopped')
  })

  test("takes the container's own sftp-server where it has one", async () => {
    const made = await container('debian')
    const client = await enter(`dev@${made.name}`)
    const done = await client.sftp(`put ${work}/one gone\nrename gone renamed\nrm renamed\n`)
    expect(done.stderr.toString()).toBe('')
    expect(done.code).toBe(0)
  })
})
