import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { standIn } from '../../src/container/stand-in.ts'

const ask = (command: string, shell = '/bin/bash') => standIn(Buffer.from(command), shell)

test.each([
  'scp -t /tmp',
  'scp -r -p -f ~/x*',
  '/usr/lib/openssh/sftp-server',
  'sftp-server',
  '"scp" -t /tmp',
  'exec /usr/libexec/openssh/sftp-server -l INFO',
  "'/usr/libexec/sftp-server'",
  '/usr/bin/rsync --server . /x',
  'rsync --server -e.LsfxCIvu . /x',
])('%s gets a prelude, and ends untouched', (command) => {
  expect(ask(command)?.command.toString().endsWith(`\n${command}`)).toBe(true)
})

test.each([
  'echo scp -t',
  'scpx -t',
  './scp -t x',
  'exec scp -t x',
  'cat; scp x',
  'rsyncd ',
  '/opt/$(id)/sftp-server',
  'x/sftp-server',
])('%s is left alone', (command) => {
  expect(ask(command)).toBeUndefined()
})

/** What sh makes of it, with these programs at their paths and `hatchway-guest` as descriptor 3. */
function runs(command: string, shell: string, there: readonly string[], helper = true): string {
  const dir = mkdtempSync(join(tmpdir(), 'hw-test-stand-in-'))
  try {
    const program = (name: string) => {
      mkdirSync(dirname(join(dir, name)), { recursive: true })
      writeFileSync(join(dir, name), `#!/bin/sh\necho ${name} "$@"\n`, { mode: 0o755 })
    }
    for (const name of [...there, 'helper']) program(name)
    const text = standIn(Buffer.from(command.replaceAll('DIR', dir)), '/bin/sh')?.command.toString() ?? ''
    const fd = helper ? openSync(join(dir, 'helper'), 'r') : ('ignore' as const)
    const done = spawnSync(shell, ['-c', text], {
      stdio: ['ignore', 'pipe', 'pipe', ...(helper ? [fd] : [])],
      env: { PATH: `${dir}/path:/usr/bin:/bin` },
      encoding: 'utf8',
    })
    if (typeof fd === 'number') closeSync(fd)
    return done.status === 0 ? done.stdout : `${done.status}: ${done.stderr}`
  } finally {
    rmSync(dir, { recursive: true })
  }
}

describe.each(['dash', 'bash'])('in %s', (shell) => {
  test.each([
    ['DIR/bin/scp -t "a b"', [], 'helper scp -t a b\n'],
    ["'DIR/bin/scp' -t 'a b'", [], 'helper scp -t a b\n'],
    ['"DIR/bin/scp" -f x', [], 'helper scp -f x\n'],
    ['DIR/bin/scp -t "a b"', ['bin/scp'], 'bin/scp -t a b\n'],
    ["  'DIR/bin/scp' -t x", ['bin/scp'], 'bin/scp -t x\n'],
    ['DIR/libexec/sftp-server -l INFO', [], 'helper sftp-server\n'],
    ["exec 'DIR/libexec/openssh/sftp-server'", [], 'helper sftp-server\n'],
    ['exec DIR/lib/sftp-server -e', ['lib/sftp-server'], 'lib/sftp-server -e\n'],
    ['DIR/bin/rsync --server', ['bin/rsync'], 'bin/rsync --server\n'],
  ])('%s with %j', (command, there, output) => {
    expect(runs(command, shell, there)).toBe(output)
  })

  test('without a helper a sentence says what is missing, exit 127', () => {
    expect(runs('DIR/bin/scp -t x', shell, [], false)).toMatch(/^127: hatchway: no scp in this container/)
    expect(runs('DIR/bin/rsync --server', shell, [], false)).toMatch(/^127: hatchway: no rsync/)
  })
})

test('a shell of another grammar gets its command as it came', () => {
  expect(ask('scp -t x', '/usr/bin/fish')).toBeUndefined()
  expect(ask('scp -t x', '/bin/tcsh')).toBeUndefined()
})

test('bytes that are no UTF-8 stay what they were', () => {
  const command = Buffer.concat([Buffer.from('scp -t '), Buffer.from([0xff, 0xfe])])
  expect(standIn(command, '/bin/sh')?.command.subarray(-command.length)).toEqual(command)
})
