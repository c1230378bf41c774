/** Real clients: sftp into a container that has no sftp-server, lftp, sshfs, and the far ends of other people's programs. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { docker, startContainer, type TestContainer } from '../support/containers.ts'
import { run } from '../support/run.ts'
import { helper } from './server.ts'

const without = (program: string) => {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`])
    return false
  } catch {
    return true
  }
}
let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'hw-sftp-'))
  execFileSync(
    'sh',
    [
      '-euc',
      `mkdir -p tree/a/b tree/c; for i in $(seq 200); do echo $i >tree/a/f$i; done
    head -c 5000000 /dev/urandom >tree/a/b/big; printf x >"$(printf 'tree/c/latin1-\\351')"; echo q >"tree/c/a b'c\\"d é"
    chmod 751 tree/a/b/big; chmod 600 tree/a/f1; touch -d '2001-02-03 04:05:06 UTC' tree/a/b/big`,
    ],
    { cwd: root },
  )
})
afterAll(() => rmSync(root, { recursive: true }))
const equal = (a: string, b: string) => run('diff', ['-r', join(root, a), join(root, b)])

describe('OpenSSH sftp in a busybox container', () => {
  let container: TestContainer
  let command: string
  beforeAll(async () => {
    container = await startContainer('busybox')
    await docker('cp', helper(), `${container.name}:/hatchway`)
    command = join(root, 'exec')
    writeFileSync(
      command,
      `#!/bin/sh\nexec docker exec -i -u 1000:1000 ${container.name} /hatchway sftp-server -d /tmp\n`,
      { mode: 0o755 },
    )
    await container.inside('chmod 1777 /tmp')
  })
  afterAll(() => container?.remove())
  const batch = (...lines: string[]) =>
    run('sftp', ['-q', '-b', '-', '-D', command], { cwd: root, input: `${lines.join('\n')}\n`, limit: 60_000 })

  it('copies a tree up and down, modes and times kept', async () => {
    const done = await batch('pwd', 'put -pr tree', 'get -pr tree back', 'ls -l tree/a/b')
    expect(done.stderr.toString()).toBe('')
    expect(done.stdout.toString()).toContain('Remote working directory: /tmp\n')
    expect((await equal('tree', 'back')).stdout.toString()).toBe('')
    const inside = await container.inside("stat -c '%u %a %Y' /tmp/tree/a/b/big")
    expect(inside.stdout.toString()).toBe('1000 751 981173106\n')
  })
  it('renames over, links, copies, removes, tells the space left', async () => {
    const done = await batch(
      'mkdir w',
      'cd w',
      'put tree/a/f1 one',
      'put tree/a/f2 two',
      'rename two one',
      'ln one hard',
      'symlink one soft',
      'cp one copy',
      'chmod 640 copy',
      'df',
      'ls -1',
      'rm hard',
      'get copy copied',
    )
    expect(done.stderr.toString()).toBe('')
    const listed = done.stdout.toString().split('sftp> ls -1\n')[1]?.split('sftp>')[0]
    expect(listed?.split(/\s+/).filter(Boolean)).toEqual(['copy', 'hard', 'one', 'soft'])
    expect(readFileSync(join(root, 'copied'), 'utf8')).toBe('2\n')
    const inside = await container.inside('cd /tmp/w; readlink soft; stat -c %h,%a one copy')
    expect(inside.stdout.toString()).toBe('one\n1,644\n1,640\n')
  })
  it('is refused what its user may not do, in words', async () => {
    const done = await batch('put tree/a/f1 /etc/hw-no')
    expect(done.code).toBe(1)
    expect(done.stderr.toString()).toContain('Permission denied')
  })
})

describe('other clients', () => {
  const local = (at: string) => {
    const command = join(root, `serve-${at}`)
    writeFileSync(command, `#!/bin/sh\ncd ${join(root, at)} && exec ${helper()} sftp-server\n`, { mode: 0o755 })
    return command
  }
  it.skipIf(without('lftp'))('lftp mirrors both ways (where lftp is installed)', async () => {
    mkdirSync(join(root, 'lftp'))
    const script = `set sftp:connect-program ${local('lftp')}; set net:max-retries 1; set net:timeout 20
      open sftp://u:p@h; mirror -R ${root}/tree up; mirror up ${root}/lftp-back; rm up/a/f1; cat up/a/f1`
    const done = await run('lftp', ['-c', script], { limit: 60_000 })
    expect(done.stderr.toString()).toContain('No such file')
    expect((await equal('tree', 'lftp-back')).stdout.toString()).toBe('')
    expect(existsSync(join(root, 'lftp/up/a/f1'))).toBe(false)
  })
  it.skipIf(without('sshfs') || !existsSync('/dev/fuse'))(
    'sshfs reads, writes, truncates and renames (where sshfs and FUSE are there)',
    async () => {
      mkdirSync(join(root, 'sshfs'))
      mkdirSync(join(root, 'mount'))
      const mounted = await run('sshfs', ['-o', `ssh_command=${local('sshfs')}`, 'u@h:', join(root, 'mount')])
      expect(mounted.stderr.toString()).toBe('')
      try {
        const script = `cp -rp ../tree . && diff -r ../tree tree && echo a >x && echo b >>x && mv x tree/a/f1 &&
        cat tree/a/f1 && truncate -s 5G sparse && stat -c %s sparse && chmod 600 sparse && rm -r tree/c && ls`
        const done = await run('sh', ['-c', script], { cwd: join(root, 'mount'), limit: 60_000 })
        expect(done.stderr.toString()).toBe('')
        expect(done.stdout.toString()).toBe('a\nb\n5368709120\nsparse\ntree\n')
      } finally {
        await run('fusermount', ['-u', join(root, 'mount')])
      }
    },
  )
})
