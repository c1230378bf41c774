/** The stand-in for scp against real clients and against peers that lie. */
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { run } from '../support/run.ts'
import { helper } from './server.ts'

let root: string
let fakeSsh: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hw-scp-'))
  mkdirSync(join(root, 'bin'))
  mkdirSync(join(root, 'far'))
  writeFileSync(join(root, 'bin/scp'), `#!/bin/sh\nexec ${helper()} scp "$@"\n`, { mode: 0o755 })
  // What `scp -S` runs in ssh's place: drops ssh's options and the host, runs the command here.
  fakeSsh = join(root, 'ssh')
  writeFileSync(
    fakeSsh,
    `#!/bin/sh
while :; do case $1 in -o|-l|-p|-i) shift 2;; --) shift; break;; -*) shift;; *) break;; esac; done
shift; cd ${root}/far; PATH=${root}/bin:$PATH; umask 022; exec sh -c "$*"
`,
    { mode: 0o755 },
  )
})
afterEach(() => rmSync(root, { recursive: true }))

const scp = (...args: string[]) => run('scp', ['-O', '-q', '-S', fakeSsh, ...args], { cwd: root })
const tree = (at: string) =>
  execFileSync(
    'sh',
    [
      '-c',
      'find . -printf "%p %y %m %T@ %s\\n" | sed "s/\\.[0-9]* / /" | sort; find . -type f -exec sha256sum {} + | sort',
    ],
    {
      cwd: at,
      env: { ...process.env, LC_ALL: 'C' },
    },
  ).toString()

function fixture(at: string): void {
  execFileSync(
    'sh',
    [
      '-euc',
      `umask 022; mkdir -p "${at}/sub/deep" "${at}/shut"; cd "${at}"
    head -c 3000001 /dev/urandom >'a b'; echo é >sub/é; : >empty; printf '#!/bin/sh\\n' >sub/deep/x
    printf x >"$(printf 'latin1-\\351')"; echo kept >shut/in
    chmod 755 sub/deep/x; chmod 400 sub/é; chmod 750 sub; chmod 555 shut
    find . -depth -exec touch -d '2010-01-02 03:04:05 UTC' {} +`,
    ],
    { cwd: root },
  )
}

describe('with OpenSSH scp -O', () => {
  it('copies a tree up and down with modes and times (-rp)', async () => {
    fixture('tree')
    expect((await scp('-rp', 'tree', 'h:')).code).toBe(0)
    expect(tree(join(root, 'far/tree'))).toBe(tree(join(root, 'tree')))
    expect((await scp('-rp', 'h:tree', 'back')).code).toBe(0)
    expect(tree(join(root, 'back'))).toBe(tree(join(root, 'tree')))
    for (const t of ['tree', 'far/tree', 'back']) chmodSync(join(root, t, 'shut'), 0o755)
  })
  it('keeps executable bits and applies the umask without -p', async () => {
    for (const [name, mode] of [
      ['x', 0o777],
      ['k', 0o600],
    ] as const) {
      writeFileSync(join(root, name), name)
      chmodSync(join(root, name), mode)
    }
    expect((await scp('x', 'k', 'h:')).code).toBe(0)
    const modes = execFileSync('stat', ['-c', '%a', 'far/x', 'far/k'], { cwd: root }).toString()
    expect(modes).toBe('755\n600\n')
  })
  it('says what failed, copies the rest and ends with 1', async () => {
    writeFileSync(join(root, 'far/good'), 'good')
    const got = await scp('h:missing', 'h:good', '.')
    expect(got.code).toBe(1)
    expect(got.stderr.toString()).toContain('scp: missing: No such file or directory')
    expect(existsSync(join(root, 'good'))).toBe(true)
  })
  it('refuses a directory without -r, a FIFO, and several files into what is no directory', async () => {
    mkdirSync(join(root, 'far/d'))
    execFileSync('mkfifo', [join(root, 'far/fifo')])
    writeFileSync(join(root, 'a'), 'a')
    expect((await scp('h:d', 'x')).stderr.toString()).toContain('d: not a regular file')
    expect((await scp('h:fifo', 'x')).stderr.toString()).toContain('fifo: not a regular file')
    expect((await scp('a', 'a', 'h:nowhere')).stderr.toString()).toContain('nowhere: No such file or directory')
  })
  it('tells of a full disk and ends with 1', async () => {
    writeFileSync(join(root, 'a'), Buffer.alloc(100_000))
    const got = await scp('a', 'h:/dev/full')
    expect(got.code).toBe(1)
    expect(got.stderr.toString()).toContain('/dev/full: No space left on device')
  })
  it('overwrites a longer file with a shorter one', async () => {
    writeFileSync(join(root, 'far/a'), Buffer.alloc(100_000))
    writeFileSync(join(root, 'a'), 'short')
    expect((await scp('a', 'h:a')).code).toBe(0)
    expect(execFileSync('cat', [join(root, 'far/a')]).toString()).toBe('short')
  })
})

describe('with a peer that lies', () => {
  const sink = (input: string | Buffer, ...options: string[]) =>
    spawnSync(helper(), ['scp', '-t', ...options, '.'], { cwd: join(root, 'far'), input, timeout: 10_000 })
  const evil = ['../evil', '/tmp/hw-evil', '..', '.', '', 'a/b']
  for (const name of evil) {
    it(`refuses the name "${name}"`, () => {
      for (const kind of ['C', 'D']) {
        const got = sink(`${kind}0644 4 ${name}\nevil\0`, '-r')
        expect(got.status).toBe(1)
        expect(got.stdout.toString('latin1')).toContain('\0\x01scp: error: unexpected filename')
      }
      expect(readdirSync(join(root, 'far'))).toEqual([])
      expect(existsSync(join(root, 'evil'))).toBe(false)
    })
  }
  const broken: Readonly<Record<string, string>> = {
    'C9999 1 a\n': 'bad mode',
    'C0644 -1 a\n': 'size not delimited',
    'C0644 99999999999999999999999 a\n': 'size not delimited',
    'C0644 1\n': 'size not delimited',
    'T1 2 3\n': 'atime.sec not delimited',
    'D0755 0 d\n': 'received directory without -r',
    '\n': 'unexpected <newline>',
    [`C0644 1 ${'x'.repeat(3000)}\n`]: 'control record too long',
  }
  for (const [record, why] of Object.entries(broken)) {
    it(`ends at ${JSON.stringify(record.slice(0, 30))}`, () => {
      const got = sink(record)
      expect(got.status).toBe(1)
      expect(got.stdout.toString('latin1')).toBe(`\0\x01scp: protocol error: ${why}\n`)
    })
  }
  it('does not call a file complete whose sender went away', () => {
    const got = sink(`C0644 1000 part\n${'x'.repeat(10)}`)
    expect(got.status).toBe(1)
    expect(got.stdout.toString('latin1')).toBe('\0\0')
  })
})

it('says that it is no client when it is used as one', async () => {
  const got = await run(helper(), ['scp', 'a', 'host:b'])
  expect(got.code).toBe(1)
  expect(got.stderr.toString()).toContain('has no scp')
})
