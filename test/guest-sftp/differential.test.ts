/** Request by request, the answers of the guest helper's server against those of Debian's sftp-server. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { debianServer, helper, noDebianServer, type Reply, SftpServer } from './server.ts'
import { type Attributes, attributes, FXP, OPEN, Reader, readNames, readStatus, string, u32, u64 } from './wire.ts'

/** The same tree twice. Times are fixed, for both servers tell them. */
const FIXTURE = `
umask 022
printf 'hello, world\n' >file; chmod 640 file
: >empty; mkdir dir dir/sub; echo inner >dir/inner; mkdir -m 2755 setgid; mkdir -m 1777 sticky
head -c 300000 /dev/zero | tr '\\0' x >big
ln -s file link; ln -s missing dangling; ln -s loop loop; ln -s ../dir/sub/.. dir/around; ln -s dir linkdir
ln -s $PWD/dir/inner absolute
mkfifo fifo; printf suid >suid; chmod 4711 suid; printf tty >stickyfile; chmod 1644 stickyfile
printf "%s" x >"$(printf 'latin1-\\351')"; : >"a b'c\\"d"; : >"$(printf 'new\\nline')"
mkdir many; i=0; while [ $i -lt 250 ]; do : >many/entry-with-a-name-$i; i=$((i+1)); done
mkdir locked; echo x >locked/x
if [ "$(id -u)" = 0 ]; then chown 1:2 suid; chown 4294967294:4000000000 stickyfile; fi
find . -exec touch -h -d '2019-02-03 04:05:06 UTC' {} +
touch -d "$RECENT" empty; touch -d '1969-12-31 23:00:00 UTC' big; touch -d '2099-06-07 08:09:10 UTC' dir/inner
`

interface Side {
  readonly root: string
  readonly server: SftpServer
  readonly handles: Map<string, Buffer>
}
let sides: readonly [Side, Side]

function side(file: string, args: readonly string[], recent: string): Side {
  const root = mkdtempSync(join(tmpdir(), 'hw-sftp-'))
  execFileSync('sh', ['-euc', FIXTURE], { cwd: root, env: { ...process.env, RECENT: recent } })
  return { root, server: new SftpServer(file, args, root), handles: new Map() }
}

/** A time that an operation of this test has just set: the servers were asked one after the other. */
function withoutNow(a: Required<Attributes> | undefined): unknown {
  const recent = (t: number) => (Math.abs(t - Date.now() / 1000) < 3600 ? 'now' : t)
  return a && { ...a, times: a.times.map(recent) }
}

/** What an answer says, without what may differ: the root's name, inode-bound numbers, "Failure: why". */
function told(reply: Reply, at: Side): unknown {
  const text = (s: string) => s.replaceAll(at.root, '$ROOT')
  switch (reply.type) {
    case FXP.STATUS: {
      const status = readStatus(reply.body)
      return { ...status, text: status.text.replace(/^Failure: .+/, 'Failure') }
    }
    case FXP.NAME:
      return readNames(reply.body).map((n) => ({ ...n, name: text(n.name), long: text(n.long) }))
    case FXP.ATTRS:
      return withoutNow(new Reader(reply.body).attributes())
    case FXP.HANDLE:
      return 'handle'
    default:
      return { type: reply.type, body: reply.body.toString('hex') }
  }
}

type Ask = (at: Side) => { readonly type: number; readonly fields: readonly Buffer[]; readonly keep?: string }
const ask =
  (type: number, ...fields: readonly Buffer[]): Ask =>
  () => ({ type, fields })
const extended = (name: string, ...fields: readonly Buffer[]) => ask(FXP.EXTENDED, string(name), ...fields)
const open = (path: string | Buffer, flags: number, keep: string, attrs = attributes()): Ask => {
  return () => ({ type: FXP.OPEN, fields: [string(path), u32(flags), attrs], keep })
}
const opendir = (path: string, keep: string): Ask => {
  return () => ({ type: FXP.OPENDIR, fields: [string(path)], keep })
}
/** A request that begins with a handle. */
const on = (handle: string, type: number, ...fields: readonly Buffer[]): Ask => {
  return (at) => ({ type, fields: [string(at.handles.get(handle) ?? Buffer.from('none')), ...fields] })
}
const extendedOn = (handle: string, name: string, ...fields: readonly Buffer[]): Ask => {
  return (at) => ({
    type: FXP.EXTENDED,
    fields: [string(name), string(at.handles.get(handle) ?? Buffer.from('none')), ...fields],
  })
}
const copy = (from: string, at: number, length: number, to: string, toAt: number): Ask => {
  return (side) => ({
    type: FXP.EXTENDED,
    fields: [
      string('copy-data'),
      string(side.handles.get(from) ?? Buffer.from('none')),
      u64(at),
      u64(length),
      string(side.handles.get(to) ?? Buffer.from('none')),
      u64(toAt),
    ],
  })
}

async function answers(at: Side, asks: readonly Ask[]): Promise<readonly unknown[]> {
  const all: unknown[] = []
  for (const one of asks) {
    const { type, fields, keep } = one(at)
    const reply = await at.server.ask(type, ...fields)
    if (keep && reply.type === FXP.HANDLE) at.handles.set(keep, Buffer.from(new Reader(reply.body).string()))
    all.push(told(reply, at))
  }
  return all
}
async function same(...asks: readonly Ask[]): Promise<readonly unknown[]> {
  const [ours, theirs] = [await answers(sides[0], asks), await answers(sides[1], asks)]
  expect(ours).toEqual(theirs)
  return ours
}
async function list(at: Side, path: string): Promise<readonly unknown[]> {
  const handle = await at.server.handle(FXP.OPENDIR, string(path))
  const names: unknown[] = []
  for (;;) {
    const reply = await at.server.ask(FXP.READDIR, string(handle))
    if (reply.type !== FXP.NAME) break
    names.push(...readNames(reply.body).map((n) => ({ ...n, attributes: { ...n.attributes, times: undefined } })))
  }
  await at.server.ok(FXP.CLOSE, string(handle))
  return names.map((n) => JSON.stringify(n, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v))).sort()
}

const paths = [
  'file',
  'link',
  'dangling',
  'loop',
  'dir',
  'linkdir/inner',
  'fifo',
  'suid',
  'missing',
  'file/x',
  'dir/',
  '',
]
const oddPaths = ['a b\'c"d', 'new\nline', '/', '//', '.', '..', 'missing/deeper', 'x'.repeat(300), 'y/'.repeat(3000)]
const everyPath: readonly (string | Buffer)[] = [...paths, ...oddPaths, Buffer.from('latin1-\xe9', 'latin1')]
const huge = 0x7fffffffffffffffn

describe.skipIf(noDebianServer)('the guest sftp server answers as OpenSSH does', () => {
  beforeAll(async () => {
    const recent = new Date(Date.now() - 86_400_000).toISOString()
    sides = [side(helper(), ['sftp-server'], recent), side(debianServer, [], recent)]
    const [ours, theirs] = [await sides[0].server.init(), await sides[1].server.init()]
    expect([...ours]).toEqual([...theirs])
  })
  afterAll(async () => {
    for (const { server, root } of sides ?? []) {
      await server.close()
      execFileSync('chmod', ['-R', 'u+rwx', root])
      rmSync(root, { recursive: true })
    }
  })

  it('to STAT and LSTAT', () =>
    same(...everyPath.flatMap((p) => [ask(FXP.STAT, string(p)), ask(FXP.LSTAT, string(p))])))
  it('to READLINK', () =>
    same(...everyPath.map((p) => ask(FXP.READLINK, string(p))), ask(FXP.READLINK, string('absolute'))))
  it('to REALPATH and expand-path', async () => {
    const more = ['dir/around', 'dir/./../dir//inner', 'absolute', 'file/..', 'missing/', '/../..', '~', '~/', '~/dir']
    const users = ['~root', '~root/x', '~nosuchuser-x', '~nosuchuser-x/y', 'dir/~']
    await same(
      ...[...everyPath, ...more, ...users].flatMap((p) => [
        ask(FXP.REALPATH, string(p)),
        extended('expand-path@openssh.com', string(p)),
      ]),
    )
  })
  it('to READDIR, long names included', async () => {
    for (const path of ['.', 'dir', 'many', 'linkdir/']) {
      expect(await list(sides[0], path)).toEqual(await list(sides[1], path))
    }
    expect(await list(sides[0], 'many')).toHaveLength(252)
  })
  it('to OPENDIR of what is none, and READDIR, READ, FSTAT of the wrong kind of handle', () =>
    same(
      ...['file', 'missing', 'fifo', 'loop', ''].map((p) => opendir(p, 'none')),
      opendir('dir', 'd'),
      on('d', FXP.READ, u64(0), u32(10)),
      on('d', FXP.WRITE, u64(0), string('x')),
      on('d', FXP.FSTAT),
      on('d', FXP.FSETSTAT, attributes({ mode: 0o700 })),
      extendedOn('d', 'fstatvfs@openssh.com'),
      extendedOn('d', 'fsync@openssh.com'),
      on('d', FXP.CLOSE),
      on('d', FXP.READDIR),
      on('d', FXP.CLOSE),
      open('file', OPEN.READ, 'f'),
      on('f', FXP.READDIR),
      on('f', FXP.CLOSE),
      on('no handle', FXP.READ, u64(0), u32(1)),
      on('no handle', FXP.CLOSE),
    ))
  it('to READ at, behind and across the end, of nothing and of too much', () =>
    same(
      open('big', OPEN.READ, 'b'),
      ...[0, 100, 299_990, 300_000, 300_001].map((at) => on('b', FXP.READ, u64(at), u32(100))),
      on('b', FXP.READ, u64(0), u32(0)),
      on('b', FXP.READ, u64(0), u32(300_000)),
      on('b', FXP.READ, u64(0), u32(0xffffffff)),
      on('b', FXP.READ, u64(1n << 63n), u32(1)),
      on('b', FXP.WRITE, u64(0), string('x')),
      on('b', FXP.CLOSE),
      open('dir', OPEN.READ, 'dir'),
      on('dir', FXP.READ, u64(0), u32(10)),
      on('dir', FXP.CLOSE),
      open('/dev/zero', OPEN.READ, 'z'),
      on('z', FXP.READ, u64(5), u32(20)),
      on('z', FXP.CLOSE),
    ))
  it('to OPEN with every kind of flags', async () => {
    const { READ, WRITE, CREAT, EXCL, TRUNC, APPEND } = OPEN
    await same(
      ...[0, READ, WRITE, READ | WRITE, CREAT, WRITE | CREAT | EXCL, READ | TRUNC, WRITE | CREAT | TRUNC, EXCL]
        .flatMap((flags, i) =>
          [
            ...['file', `new-${i}`, 'missing/x', 'dir', 'dangling-no', 'loop', ''].map((p) => open(p, flags, `h${i}`)),
            on(`h${i}`, FXP.FSTAT),
            on(`h${i}`, FXP.CLOSE),
          ].filter((_, j) => j < 7 || flags),
        )
        .filter((one) => one(sides[0]).type !== FXP.FSTAT),
      open('appended', WRITE | CREAT | APPEND, 'a', attributes({ mode: 0o600 })),
      on('a', FXP.WRITE, u64(0), string('one')),
      on('a', FXP.WRITE, u64(0), string('two')),
      on('a', FXP.CLOSE),
      open('appended', READ, 'a'),
      on('a', FXP.READ, u64(0), u32(10)),
      on('a', FXP.CLOSE),
      open('sparse', READ | WRITE | CREAT, 's', attributes({ mode: 0o4644 })),
      on('s', FXP.WRITE, u64(5_000_000_000), string('far')),
      on('s', FXP.READ, u64(4_999_999_999), u32(10)),
      on('s', FXP.WRITE, u64(huge), string('too far')),
      on('s', FXP.WRITE, u64(1n << 63n), string('x')),
      on('s', FXP.WRITE, u64(1), string('')),
      on('s', FXP.FSETSTAT, attributes({ mode: 0o640, times: [1_000_000_000, 1_100_000_000], size: 7 })),
      on('s', FXP.FSTAT),
      on('s', FXP.FSETSTAT, attributes({ size: 1n << 63n })),
      extendedOn('s', 'fsync@openssh.com'),
      on('s', FXP.CLOSE),
    )
  })
  it('to SETSTAT and lsetstat', async () => {
    const wanted = [
      attributes({ mode: 0o100751 }),
      attributes({ mode: 0o6755 }),
      attributes({ times: [1_234_567_890, 4_000_000_000] }),
      attributes({ size: 3 }),
      attributes({ size: huge }),
      attributes({ size: 1n << 63n }),
      attributes({ owner: [process.getuid?.() ?? 0, process.getgid?.() ?? 0] }),
      attributes({ mode: 0o644, size: 5, times: [1, 2], owner: [process.getuid?.() ?? 0, process.getgid?.() ?? 0] }),
      attributes(),
      Buffer.concat([u32(0x80000000), u32(1), string('acl@example'), string('none')]),
    ]
    await same(
      ...wanted
        .flatMap((a) =>
          ['file', 'link', 'dangling', 'missing', 'sticky'].flatMap((p) => [
            ask(FXP.SETSTAT, string(p), a),
            extended('lsetstat@openssh.com', string(p), a),
            ask(FXP.LSTAT, string(p)),
          ]),
        )
        .filter((one) => !one(sides[0]).fields.some((f) => f.equals(string('sticky'))) || true),
    )
  })
  it('to MKDIR, RMDIR and REMOVE', () =>
    same(
      ask(FXP.MKDIR, string('made'), attributes()),
      ask(FXP.MKDIR, string('made2'), attributes({ mode: 0o1777 })),
      ask(FXP.MKDIR, string('made'), attributes()),
      ask(FXP.MKDIR, string('missing/made'), attributes()),
      ask(FXP.MKDIR, string(''), attributes()),
      ask(FXP.RMDIR, string('made')),
      ask(FXP.RMDIR, string('dir')),
      ask(FXP.RMDIR, string('file')),
      ask(FXP.RMDIR, string('missing')),
      ask(FXP.RMDIR, string('made2/.')),
      ask(FXP.REMOVE, string('made2')),
      ask(FXP.REMOVE, string('missing')),
      ask(FXP.REMOVE, string('empty')),
      ask(FXP.REMOVE, string('dangling')),
      ask(FXP.LSTAT, string('dangling')),
    ))
  it('to RENAME, posix-rename, hardlink and SYMLINK', async () => {
    const both = (a: string, b: string): Ask[] => [
      ask(FXP.RENAME, string(a), string(b)),
      extended('hardlink@openssh.com', string(a), string(`${b}-hard`)),
      extended('posix-rename@openssh.com', string(a), string(b)),
    ]
    await same(
      ...both('file', 'suid'),
      ...both('missing', 'x'),
      ...both('dir', 'moved'),
      ...both('moved', 'many'),
      ...both('moved', 'moved/inside'),
      ...both('link', 'link2'),
      ...both('link2', 'missing/x'),
      ...both('big', '/dev/shm/hw-no-such-directory/x'),
      ask(FXP.RENAME, string('big'), string('big')),
      ask(FXP.SYMLINK, string('any target'), string('made-link')),
      ask(FXP.SYMLINK, string('any target'), string('made-link')),
      ask(FXP.SYMLINK, string(''), string('other-link')),
      ask(FXP.READLINK, string('made-link')),
      ...['file', 'suid', 'moved', 'link2', 'big', 'suid-hard'].map((p) => ask(FXP.LSTAT, string(p))),
    )
  })
  it('to copy-data', () =>
    same(
      open('big', OPEN.READ, 'from'),
      open('copied', OPEN.WRITE | OPEN.CREAT, 'to'),
      copy('from', 299_000, 0, 'to', 10),
      copy('from', 0, 5, 'to', 0),
      copy('from', 400_000, 0, 'to', 0),
      copy('from', 0, 5, 'from', 100),
      copy('none', 0, 5, 'to', 0),
      copy('from', 0, 5, 'none', 0),
      on('to', FXP.CLOSE),
      open('copied', OPEN.READ, 'to'),
      on('to', FXP.READ, u64(0), u32(2000)),
      on('to', FXP.CLOSE),
      on('from', FXP.CLOSE),
    ))
  it('to users-groups-by-id and home-directory', () =>
    same(
      extended(
        'users-groups-by-id@openssh.com',
        string(Buffer.concat([u32(0), u32(1), u32(4_000_000_000), u32(65534)])),
        string(Buffer.concat([u32(0), u32(5), u32(4_000_000_000)])),
      ),
      extended('users-groups-by-id@openssh.com', string(''), string('')),
      extended('home-directory', string('root')),
      extended('home-directory', string('nosuchuser-x')),
      extended('unheard-of@example.com', string('x')),
    ))
  it('to statvfs and fstatvfs, in all that does not move', async () => {
    const still = async (at: Side, request: Ask) => {
      const { type, fields } = request(at)
      const reply = await at.server.ask(type, ...fields)
      if (reply.type !== FXP.EXTENDED_REPLY) return told(reply, at)
      const r = new Reader(reply.body)
      const [bsize, frsize, blocks, , , files, , , fsid, flag, namemax] = Array.from({ length: 11 }, () => r.u64())
      return { bsize, frsize, blocks, files, fsid, flag, namemax, done: r.done }
    }
    await same(open('big', OPEN.READ, 'b'))
    const asks = ['/', '.', '/proc', '/dev', 'missing'].map((p) => extended('statvfs@openssh.com', string(p)))
    for (const one of [...asks, extendedOn('b', 'fstatvfs@openssh.com')]) {
      expect(await still(sides[0], one)).toEqual(await still(sides[1], one))
    }
    await same(on('b', FXP.CLOSE))
  })
  it('as a user who may not', async () => {
    // Root may everything, so these are asked of two more servers that run as nobody.
    if (process.getuid?.() !== 0) return
    const as = (file: string, args: readonly string[], root: string): Side => ({
      root,
      server: new SftpServer('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', file, ...args], root),
      handles: new Map(),
    })
    const roots = [sides[0].root, sides[1].root] as const
    for (const root of roots) execFileSync('sh', ['-c', 'chmod 755 .; chmod 700 locked'], { cwd: root })
    const pair = [as(helper(), ['sftp-server'], roots[0]), as(debianServer, [], roots[1])] as const
    const asks = [
      opendir('locked', 'd'),
      open('locked/x', OPEN.READ, 'x'),
      open('big', OPEN.WRITE, 'x'),
      ask(FXP.STAT, string('locked/x')),
      ask(FXP.SETSTAT, string('big'), attributes({ mode: 0o777 })),
      ask(FXP.SETSTAT, string('big'), attributes({ times: [1, 1] })),
      ask(FXP.SETSTAT, string('big'), attributes({ owner: [65534, 65534] })),
      ask(FXP.REMOVE, string('big')),
      ask(FXP.MKDIR, string('mine'), attributes()),
      ask(FXP.REALPATH, string('locked/x')),
      ask(FXP.RENAME, string('big'), string('small')),
    ]
    for (const one of pair) await one.server.init()
    expect(await answers(pair[0], asks)).toEqual(await answers(pair[1], asks))
    for (const one of pair) await one.server.close()
  })
})
