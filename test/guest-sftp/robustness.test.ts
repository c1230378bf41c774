/** Bad input, odd files, many requests: what the server must survive, and what the client must be told. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { helper, SftpServer } from './server.ts'
import { attributes, FX, FXP, OPEN, packet, Reader, readNames, readStatus, string, u32, u64 } from './wire.ts'

/** Where 100,000 files are made in a second. */
const memory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
let root: string
let server: SftpServer
beforeEach(() => {
  root = mkdtempSync(join(memory, 'hw-sftp-'))
  server = new SftpServer(helper(), ['sftp-server'], root)
})
afterEach(async () => {
  await server.close()
  rmSync(root, { recursive: true })
})
const status = async (type: number, ...fields: readonly Buffer[]) =>
  readStatus((await server.ask(type, ...fields)).body)
const open = (path: string, flags: number) => server.handle(FXP.OPEN, string(path), u32(flags), attributes())
/** kB of resident memory; the buffers and the program are under 2 MB. */
const resident = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1])

describe('malformed packets end the server, with a line on stderr and the earlier answers sent', () => {
  const bad: Readonly<Record<string, Buffer>> = {
    'longer than the limit': u32(256 * 1024 + 1),
    'length 0': u32(0),
    'length of 4 GiB': Buffer.alloc(8, 0xff),
    'without an id': packet(FXP.STAT, Buffer.alloc(2)),
    'a string that passes its packet': packet(FXP.STAT, u32(1), u32(100), Buffer.from('short')),
    'a string of 4 GiB': packet(FXP.STAT, u32(1), u32(0xffffffff), Buffer.from('x')),
    'a NUL in a path': packet(FXP.STAT, u32(1), string('a\0b')),
    'half an attribute': packet(FXP.MKDIR, u32(1), string('x'), u32(15), Buffer.alloc(10)),
    'endless extended attributes': packet(FXP.MKDIR, u32(1), string('x'), u32(0x80000000), u32(0xffffffff)),
  }
  for (const [what, bytes] of Object.entries(bad)) {
    it(what, async () => {
      await server.init()
      server.send(Buffer.concat([packet(FXP.STAT, u32(7), string('.')), bytes]))
      expect((await server.next()).id).toBe(7)
      expect(await server.exit).toBe(1)
      expect(server.stderr).toBe('sftp-server: malformed packet, giving up\n')
      expect(existsSync(join(root, 'x'))).toBe(false)
    })
  }
  it('a request before INIT', async () => {
    server.send(packet(FXP.STAT, u32(1), string('.')))
    expect(await server.exit).toBe(1)
  })
})

it('ends with 0 when the client goes in the middle of a packet', async () => {
  await server.init()
  server.send(packet(FXP.STAT, u32(1), string('some path')).subarray(0, 12))
  server.end()
  expect(await server.exit).toBe(0)
  expect(server.stderr).toBe('')
})

it('answers an unknown request as unsupported', async () => {
  await server.init()
  expect((await status(77)).code).toBe(FX.UNSUPPORTED)
})

it('does not hang at a FIFO, whichever way it is opened', async () => {
  execFileSync('mkfifo', [join(root, 'fifo')])
  await server.init()
  const reading = await open('fifo', OPEN.READ)
  expect((await status(FXP.READ, string(reading), u64(0), u32(10))).code).toBe(FX.FAILURE)
  await server.ok(FXP.CLOSE, string(reading))
  expect((await server.ask(FXP.OPEN, string('fifo'), u32(OPEN.WRITE), attributes())).type).toBe(FXP.STATUS)
})

it('tells of a full disk: no truncated write passes as complete', async () => {
  await server.init()
  const full = await open('/dev/full', OPEN.WRITE)
  const told = await status(FXP.WRITE, string(full), u64(0), string(Buffer.alloc(1000)))
  expect(told).toEqual({ code: FX.FAILURE, text: 'Failure: No space left on device' })
})

it('tells of a limit reached in the middle of one write', async () => {
  await server.close()
  server = new SftpServer('prlimit', ['--fsize=5000', 'env', '-i', helper(), 'sftp-server'], root)
  await server.init()
  const file = await open('file', OPEN.WRITE | OPEN.CREAT)
  // The kernel writes the first 5000 bytes; the write as a whole failed. (SIGXFSZ would be the end of a server.)
  const told = await status(FXP.WRITE, string(file), u64(0), string(Buffer.alloc(8000)))
  expect(told).toEqual({ code: FX.FAILURE, text: 'Failure: File too large' })
})

it('keeps a handle of the past from meaning a file of the present', async () => {
  writeFileSync(join(root, 'a'), 'a')
  await server.init()
  const first = await open('a', OPEN.READ)
  await server.ok(FXP.CLOSE, string(first))
  for (let i = 0; i < 4100; i++) await server.ok(FXP.CLOSE, string(await open('a', OPEN.READ)))
  await open('a', OPEN.READ)
  expect((await status(FXP.READ, string(first), u64(0), u32(1))).code).toBe(FX.FAILURE)
})

it('refuses one handle too many and goes on', async () => {
  writeFileSync(join(root, 'a'), 'a')
  await server.init()
  const limits = new Reader((await server.ask(FXP.EXTENDED, string('limits@openssh.com'))).body)
  expect([limits.u64(), limits.u64(), limits.u64()]).toEqual([262144n, 261120n, 261120n])
  const most = Number(limits.u64())
  let last: Buffer = Buffer.alloc(0)
  for (let i = 0; i < most; i++) last = await open('a', OPEN.READ)
  await expect(open('a', OPEN.READ)).rejects.toThrow('Too many open files')
  await server.ok(FXP.CLOSE, string(last))
  await open('a', OPEN.READ)
}, 60_000)

it.each([12, 40, 1024])(
  'says how many files %d descriptors allow, as sftp-server does, and can open them',
  async (files) => {
    writeFileSync(join(root, 'a'), 'a')
    await server.close()
    server = new SftpServer('prlimit', [`--nofile=${files}:${files}`, helper(), 'sftp-server'], root)
    await server.init()
    const limits = new Reader((await server.ask(FXP.EXTENDED, string('limits@openssh.com'))).body)
    for (let field = 0; field < 3; field++) limits.u64()
    expect(limits.u64()).toBe(BigInt(files - 5))
    for (let i = 0; i < files - 5; i++) await open('a', OPEN.READ)
  },
)

it('lists 100,000 names in the memory it began with', async () => {
  execFileSync('sh', ['-c', 'mkdir many && cd many && seq -f name-%g 100000 | xargs touch'], { cwd: root })
  await server.init()
  const directory = await server.handle(FXP.OPENDIR, string('many'))
  const seen = new Set<string>()
  let longest = 0
  for (;;) {
    const reply = await server.ask(FXP.READDIR, string(directory))
    if (reply.type !== FXP.NAME) {
      expect(readStatus(reply.body).code).toBe(FX.EOF)
      break
    }
    longest = Math.max(longest, reply.body.length)
    for (const { name } of readNames(reply.body)) seen.add(name)
  }
  expect(seen.size).toBe(100_002)
  expect(longest).toBeLessThan(64 * 1024)
  expect(resident()).toBeLessThan(3000)
}, 120_000)

it('answers 1000 requests in flight in their order, reading and writing at once', async () => {
  await server.init()
  const file = await open('file', OPEN.READ | OPEN.WRITE | OPEN.CREAT)
  const block = (i: number) => Buffer.alloc(32768, i)
  const requests: Buffer[] = []
  for (let i = 0; i < 500; i++) {
    requests.push(packet(FXP.WRITE, u32(2 * i), string(file), u64(i * 32768), string(block(i))))
    requests.push(packet(FXP.READ, u32(2 * i + 1), string(file), u64(i * 32768), u32(32768)))
  }
  server.send(Buffer.concat(requests))
  for (let i = 0; i < 500; i++) {
    const written = await server.next()
    expect([written.id, readStatus(written.body).code]).toEqual([2 * i, FX.OK])
    const read = await server.next()
    expect(read.id).toBe(2 * i + 1)
    expect(new Reader(read.body).string().equals(block(i))).toBe(true)
  }
  expect(resident()).toBeLessThan(3000)
})

it('takes and gives packets of the greatest size', async () => {
  await server.init()
  const file = await open('file', OPEN.READ | OPEN.WRITE | OPEN.CREAT)
  const data = Buffer.alloc(261120, 'abc')
  await server.ok(FXP.WRITE, string(file), u64(5_000_000_000), string(data))
  const read = await server.ask(FXP.READ, string(file), u64(5_000_000_000), u32(262144))
  expect(new Reader(read.body).string().equals(data)).toBe(true)
})

it('says EOF when copy-data finds fewer bytes than were asked for', async () => {
  writeFileSync(join(root, 'a'), 'abc')
  await server.init()
  const [from, to] = [await open('a', OPEN.READ), await open('b', OPEN.WRITE | OPEN.CREAT)]
  const copied = await status(FXP.EXTENDED, string('copy-data'), string(from), u64(1), u64(9), string(to), u64(0))
  expect(copied.code).toBe(FX.EOF)
  expect(readFileSync(join(root, 'b'), 'utf8')).toBe('bc')
})

it('changes nothing when it is read-only', async () => {
  await server.close()
  writeFileSync(join(root, 'a'), 'abc')
  server = new SftpServer(helper(), ['sftp-server', '-R'], root)
  await server.init()
  const denied = [
    await status(FXP.REMOVE, string('a')),
    await status(FXP.OPEN, string('a'), u32(OPEN.WRITE), attributes()),
    await status(FXP.OPEN, string('a'), u32(OPEN.READ | OPEN.TRUNC), attributes()),
    await status(FXP.EXTENDED, string('posix-rename@openssh.com'), string('a'), string('b')),
  ]
  expect(denied.map((d) => d.code)).toEqual(Array(4).fill(FX.PERMISSION_DENIED))
  await open('a', OPEN.READ)
  expect(readFileSync(join(root, 'a'), 'utf8')).toBe('abc')
})

/** Millions are for a quiet machine: FUZZ_PACKETS=2000000. */
const PACKETS = Number(process.env.FUZZ_PACKETS ?? 50_000)
it(`survives ${PACKETS} mutated packets under ASan and UBSan`, () => {
  const here = fileURLToPath(new URL('.', import.meta.url))
  const guest = join(here, '../../guest')
  const program = join(root, 'fuzz')
  const jail = join(root, 'jail')
  execFileSync('sh', ['-c', `mkdir -m 1777 jail && mkdir jail/etc && cp /etc/passwd /etc/group jail/etc`], {
    cwd: root,
  })
  execFileSync(
    'sh',
    [
      '-c',
      'cc -std=gnu11 -g -O1 -DHOSTED -fsanitize=address,undefined -fno-sanitize-recover=all ' +
        `-I. -o ${program} ${here}/fuzz.c sftp*.c str.c wire.c sys.c`,
    ],
    { cwd: guest },
  )
  const run = spawnSync(program, [jail, String(PACKETS), String(process.pid)], {
    env: { ASAN_OPTIONS: 'detect_leaks=0' }, // there is no heap, and the jail has no /proc to look it up in
    timeout: 240_000,
  })
  expect(run.stderr.toString()).toBe('')
  if (run.status === 77 && process.getuid?.() !== 0) return // only root may lock it in
  expect(run.status).toBe(0)
  const [, packets, malformed] = /packets (\d+) sessions \d+ malformed (\d+)/.exec(run.stdout.toString()) ?? []
  expect(Number(packets)).toBeGreaterThanOrEqual(PACKETS)
  expect(Number(malformed)).toBeGreaterThan(PACKETS / 200)
}, 300_000)
