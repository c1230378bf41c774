/**
 * Other people's programs as themselves, through the gateway, into a busybox container that has none of their far ends
 * (or a Debian one, where they want a program inside), and the steps of IDEs that cannot be run here.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startContainer, type TestContainer } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { type Finished, type RunOptions, run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'
import { until } from '../support/wait.ts'

let keys: Keys
let gateway: Gateway
let busybox: TestContainer
let debian: TestContainer
let client: SshClient
let inDebian: SshClient
let tree: string
let places = 0

const missing = async (...programs: string[]) => {
  for (const program of programs) {
    if ((await run('sh', ['-c', `command -v ${program}`])).code !== 0) return `${program} is not installed`
  }
  return undefined
}
const PUTTY = await missing('pscp', 'psftp', 'puttygen')
const DROPBEAR = await missing('dbclient', 'dropbearconvert')
const SSHFS = existsSync('/dev/fuse') ? await missing('sshfs') : 'there is no /dev/fuse'
const RCLONE = await missing('rclone')
const RESTIC = await missing('restic')
const LFTP = await missing('lftp')
const UNISON = await missing('unison')
const EMACS = await missing('emacs')

beforeAll(async () => {
  keys = await makeKeys()
  const unison = UNISON ? [] : ['-v', '/usr/bin/unison:/usr/bin/unison:ro']
  ;[busybox, debian] = await Promise.all([startContainer('busybox'), startContainer('debian', { args: unison })])
  gateway = await startGateway({ keys, engine: 'docker', guest: 'require' })
  client = await makeSshClient(gateway.target(`dev@${busybox.name}`))
  inDebian = await makeSshClient(gateway.target(`dev@${debian.name}`))
  // Clients that know no ssh_config must find the host's key known.
  await client.exec('true')
  await inDebian.exec('true')
  tree = join(client.dir, 'tree')
  const script = `mkdir -p ${tree}/sub/empty; cd ${tree}; head -c 2000000 /dev/urandom >big; echo x >'a b'; echo y >sub/é; chmod 755 sub/é
    touch -d '2001-02-03 04:05:06 UTC' big`
  await run('sh', ['-euc', script])
})
afterAll(async () => {
  await Promise.all([client?.close(), inDebian?.close(), gateway?.stop()])
  await Promise.all([busybox?.remove(), debian?.remove(), keys?.close()])
})

const place = () => join(client.dir, `place-${places++}`)
async function ok(what: Promise<Finished>): Promise<string> {
  const { code, stdout, stderr } = await what
  expect(`${code} ${code === 0 ? '' : stderr.toString() + stdout.toString()}`).toBe('0 ')
  return stdout.toString()
}
const same = async (a: string, b: string) => expect(await ok(run('diff', ['-r', a, b]))).toBe('')
const go = (file: string, args: readonly string[], options: RunOptions = {}) =>
  run(file, args, { limit: 90_000, ...options })

describe('PuTTY', () => {
  let common: string[]
  let ppk: string
  beforeAll(async () => {
    if (PUTTY) return
    ppk = join(client.dir, 'id.ppk')
    await ok(go('puttygen', [keys.ed25519, '-o', ppk]))
    const scanned = await ok(go('ssh-keyscan', ['-t', 'ed25519', '-p', String(gateway.port), gateway.host]))
    const print = await ok(go('ssh-keygen', ['-l', '-f', '-'], { input: scanned }))
    const hostKey = /SHA256:\S+/.exec(print)?.[0] ?? ''
    common = ['-batch', '-hostkey', hostKey, '-i', ppk, '-l', client.target.user, '-P', String(gateway.port)]
  })
  test.skipIf(PUTTY).each([['-sftp'], ['-scp']])(
    'pscp %s copies a tree both ways',
    async (mode) => {
      const [there, back] = [`pscp${mode}`, place()]
      await client.exec(`mkdir ${there}`)
      await mkdir(back)
      await ok(go('pscp', [...common, mode, '-r', '-p', tree, `${gateway.host}:${there}`]))
      await ok(go('pscp', [...common, mode, '-r', '-p', `${gateway.host}:${there}/tree`, back]))
      await same(tree, join(back, 'tree'))
    },
    120_000,
  )
})

test.each([[[]], [['-O']]])(
  'scp -3 %j copies from one container to another',
  async (mode) => {
    const config = place()
    const host = async (name: string, { config: file }: SshClient) =>
      (await readFile(file, 'utf8')).replace('Host t', `Host ${name}`)
    await writeFile(config, (await host('one', client)) + (await host('two', inDebian)))
    await ok(client.scp(['-q', '-r', tree, `t:from${mode.length}`], { limit: 60_000 }))
    const three = ['-F', config, ...mode, '-3', '-q', '-r', `one:from${mode.length}`, `two:to${mode.length}`]
    await ok(go('scp', three, { env: { SSH_AUTH_SOCK: '' } }))
    const back = place()
    await ok(inDebian.scp(['-q', '-r', `t:to${mode.length}`, back], { limit: 60_000 }))
    await same(tree, back)
  },
  180_000,
)

test.skipIf(DROPBEAR)(
  "scp over dropbear's client",
  async () => {
    const [key, wrapper, back] = [place(), place(), place()]
    await ok(go('dropbearconvert', ['openssh', 'dropbear', keys.ecdsa, key]))
    // scp gives OpenSSH's options; the last two words are the host and the command.
    const call = `dbclient -y -y -i ${key} -l '${client.target.user}' -p ${gateway.port} ${gateway.host}`
    await writeFile(wrapper, `#!/bin/sh\nfor command; do :; done\nexec ${call} "$command"\n`)
    await chmod(wrapper, 0o755)
    await ok(go('scp', ['-O', '-q', '-r', '-S', wrapper, tree, 'h:dropbear']))
    await ok(go('scp', ['-O', '-q', '-r', '-S', wrapper, 'h:dropbear', back]))
    await same(tree, back)
  },
  120_000,
)

test.skipIf(SSHFS)(
  'sshfs: a tree is copied in, changed and read',
  async () => {
    const at = place()
    await mkdir(at)
    await client.exec('mkdir sshfs')
    await ok(go('sshfs', ['-F', client.config, 't:sshfs', at]))
    try {
      const script = `cp -r --preserve=mode,timestamps ${tree} . && diff -r ${tree} tree && mv tree/big big && ln -s big soft && cat soft | cmp - ${tree}/big &&
      truncate -s 10 big && stat -c %s big && chmod 600 big && rm -r tree && ls`
      expect(await ok(go('sh', ['-c', script], { cwd: at }))).toBe('10\nbig\nsoft\n')
    } finally {
      await run('fusermount', ['-u', at])
    }
  },
  120_000,
)

test.skipIf(RCLONE)(
  'rclone copies and checks by hash',
  async () => {
    const remote = [
      ...['--sftp-host', gateway.host, '--sftp-port', String(gateway.port), '--sftp-user', client.target.user],
      ...['--sftp-key-file', keys.ed25519, '--config', place()],
    ]
    const back = place()
    await ok(go('rclone', ['copy', ...remote, tree, ':sftp:rclone']))
    await ok(go('rclone', ['check', ...remote, tree, ':sftp:rclone']))
    await ok(go('rclone', ['copy', '--create-empty-src-dirs', ...remote, ':sftp:rclone', back]))
    await ok(go('diff', ['-r', '-x', 'empty', tree, back]))
  },
  180_000,
)

test.skipIf(RESTIC)(
  'restic keeps a repository there, and restores from it',
  async () => {
    const env = { ...process.env, RESTIC_PASSWORD: 'x', RESTIC_CACHE_DIR: place() } as Record<string, string>
    const restic = (...args: string[]) =>
      ok(
        go('restic', ['-o', `sftp.command=ssh -F ${client.config} t -s sftp`, '-r', 'sftp:t:restic', ...args], { env }),
      )
    const back = place()
    await restic('init')
    await restic('backup', tree)
    await restic('check')
    await restic('restore', 'latest', '--target', back)
    await same(tree, join(back, tree))
  },
  240_000,
)

test.skipIf(LFTP)(
  'lftp mirrors both ways',
  async () => {
    const [program, back] = [place(), place()]
    // lftp would add a user of its own.
    await writeFile(program, `#!/bin/sh\nexec ssh -a -x -F ${client.config} t -s sftp\n`, { mode: 0o755 })
    const script = `set sftp:connect-program ${program}; set sftp:auto-confirm yes; set net:max-retries 1
    open sftp://u:p@t; mirror -R ${tree} lftp; mirror lftp ${back}`
    await ok(go('lftp', ['-c', script]))
    await same(tree, back)
  },
  120_000,
)

test.skipIf(UNISON)(
  'unison syncs both ways',
  async () => {
    const local = place()
    await ok(go('cp', ['-r', tree, local]))
    await inDebian.exec('mkdir sync; echo theirs >sync/theirs')
    const env = { ...process.env, HOME: client.dir, UNISONLOCALHOSTNAME: 'here' } as Record<string, string>
    await ok(go('unison', ['-batch', '-auto', '-sshargs', `-F ${inDebian.config}`, local, 'ssh://t/sync'], { env }))
    expect(await readFile(join(local, 'theirs'), 'utf8')).toBe('theirs\n')
    const back = place()
    await ok(inDebian.scp(['-q', '-r', 't:sync', back]))
    await same(local, back)
  },
  120_000,
)

test.skipIf(EMACS)(
  'Emacs TRAMP writes, reads, lists and runs',
  async () => {
    const file = '/ssh:t:/home/dev/tramp.txt'
    const options = `(quote (("-F" "${client.config}")))`
    const lisp = `(progn (require 'tramp)
    (setq tramp-verbose 1 tramp-use-ssh-controlmaster-options nil remote-file-name-inhibit-cache t)
    (let ((method (assoc "ssh" tramp-methods)))
      (setcar (cdr (assq 'tramp-login-args (cdr method))) (append ${options} (cadr (assq 'tramp-login-args (cdr method))))))
    (write-region "by tramp\\n" nil "${file}")
    (princ (with-temp-buffer (insert-file-contents "${file}") (buffer-string)))
    (princ (format "%S\\n" (and (member "tramp.txt" (directory-files "/ssh:t:/home/dev/")) t)))
    (let ((default-directory "/ssh:t:/home/dev/")) (princ (shell-command-to-string "id -un"))))`
    const env = { ...process.env, HOME: client.dir } as Record<string, string>
    const { stdout, stderr } = await go('emacs', ['-Q', '--batch', '--eval', lisp], { env })
    expect(stdout.toString() || stderr.toString()).toBe('by tramp\nt\ndev\n')
    expect((await busybox.inside('cat /home/dev/tramp.txt')).stdout.toString()).toBe('by tramp\n')
  },
  120_000,
)

test('as mutagen: a missing agent is 127, scp brings it, one long exec speaks to it', async () => {
  const agent = '.mutagen/agents/1/agent'
  const first = await client.exec(`${agent} synchronizer`)
  expect([126, 127]).toContain(first.code)
  const local = place()
  await writeFile(local, '#!/bin/sh\nwhile read line; do echo "got $line"; done\n', { mode: 0o755 })
  await ok(client.scp(['-C', local, 't:agent.new']))
  await ok(client.exec(`mkdir -p .mutagen/agents/1 && chmod 700 agent.new && mv agent.new ${agent}`))
  expect(await ok(client.exec(`${agent} synchronizer`, { input: 'one\ntwo\n' }))).toBe('got one\ngot two\n')
})

test('as Zed: one master, its server by sftp, a proxy on stdin and stdout, ten sessions beside it', async () => {
  const master = await makeSshClient(client.target, [`ControlPath ${client.dir}/zed.sock`, 'ControlMaster auto'])
  const held = go('ssh', ['-F', master.config, '-N', '-o', 'ControlPersist=no', 't'], { limit: 60_000 })
  try {
    await until('the master is there', () => existsSync(`${client.dir}/zed.sock`), 20_000)
    expect(await ok(master.exec(`cd; sh -c 'echo $SHELL'`))).toBe('/bin/sh\n')
    const server = place()
    await writeFile(server, '#!/bin/sh\n[ "$1" = version ] && echo 1.2.3 || exec cat\n')
    await ok(go('gzip', ['-k', server]))
    await ok(master.sftp(`put ${server}.gz zed.gz\n`))
    await ok(master.exec(`sh -c 'gunzip -f zed.gz && chmod 755 zed && mv zed zed-remote'`))
    expect(await ok(master.exec('cd; ./zed-remote version'))).toBe('1.2.3\n')
    const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, i) => i % 256))
    const proxied = await master.exec('cd; env X=1 ./zed-remote proxy --identifier 1', { input: bytes })
    expect(proxied.stdout.equals(bytes)).toBe(true)
    const many = await Promise.all(Array.from({ length: 8 }, (_, i) => ok(master.exec(`echo ${i}`))))
    expect(many.join('')).toBe('0\n1\n2\n3\n4\n5\n6\n7\n')
  } finally {
    await go('ssh', ['-F', master.config, '-O', 'exit', 't'])
    await held
    await master.close()
  }
}, 120_000)

describe('a disk that fills, a client that goes', () => {
  let small: TestContainer
  let login: SshClient
  let large: string
  beforeAll(async () => {
    small = await startContainer('busybox', { args: ['--tmpfs', '/small:size=1m,mode=1777'] })
    login = await makeSshClient(gateway.target(`dev@${small.name}`))
    large = place()
    await ok(go('truncate', ['-s', '60M', large]))
  })
  afterAll(async () => {
    await login?.close()
    await small?.remove()
  })

  test.each([[[]], [['-O']]])(
    'scp %j of more than fits says so and fails',
    async (mode) => {
      const { code, stderr } = await login.scp([...mode, large, 't:/small/large'], { limit: 60_000 })
      expect(code).not.toBe(0)
      expect(stderr.toString()).toMatch(/No space left|write remote .*Failure/i)
      await small.inside('rm -f /small/large')
    },
    90_000,
  )

  test.each([[[]], [['-O']]])(
    'scp %j cut off in the middle leaves no server behind',
    async (mode) => {
      await small.inside('rm -f /home/dev/large')
      const size = async () => Number((await small.inside('stat -c %s /home/dev/large')).stdout.toString())
      const args = ['-F', login.config, ...mode, '-l', '40000', large, 't:/home/dev/large']
      const scp = spawn('scp', args, { stdio: 'ignore' })
      await until('it is in the middle', async () => (await size()) > 0, 30_000)
      scp.kill('SIGKILL')
      expect(await size()).toBeLessThan(60 * 1024 * 1024)
      const servers = () =>
        small.inside("ps -o comm,args | grep -E '^(sftp-server|scp)|fd/3 scp' | grep -v grep | wc -l")
      await until('its server is gone', async () => (await servers()).stdout.toString().trim() === '0', 20_000, 300)
    },
    90_000,
  )
})
