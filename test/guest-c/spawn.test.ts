import { chmodSync, copyFileSync, realpathSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { spawnPayload, T } from './client.ts'
import { children, descriptors, suite } from './suite.ts'

const AS_NOBODY = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups']

suite('spawn', ({ build, run, start, scratch }) => {
  run('HELLO names the protocol, who it is, and its pid', async () => {
    const client = await start({ init: false })
    const hello = (await client.connection(T.HELLO)).payload
    expect(hello.subarray(0, 4).toString()).toBe('HWG1')
    expect(hello.readUInt16BE(4)).toBe(1)
    expect(hello.readUInt32BE(6)).toBe(7)
    expect(hello.readUInt32BE(10)).toBe(process.getuid?.())
    expect(hello.readUInt32BE(18)).toBe(client.process.pid)
  })

  run('stdout, stderr and the exit code arrive, and CLOSED is last', async () => {
    const client = await start()
    const channel = await client.sh('echo out; echo err >&2; exit 7').closed()
    expect([channel.out.toString(), channel.err.toString(), await channel.exit()]).toEqual([
      'out\n',
      'err\n',
      [0, 7, 0],
    ])
    expect(channel.frames.at(0)?.type).toBe(T.OPENED)
    expect(channel.frames.at(-1)?.type).toBe(T.CLOSED)
    expect(channel.has(T.EOF)).toBeDefined()
    expect(channel.has(T.EOF2)).toBeDefined()
  })

  run('OPENED carries the pid and the credit', async () => {
    const client = await start()
    const channel = await client.sh('echo $$').closed()
    const opened = await channel.wait(T.OPENED)
    expect(opened.payload.readUInt32BE(0)).toBe(Number(channel.out))
    expect(opened.payload.readUInt32BE(4)).toBe(256 * 1024)
  })

  run('death by a signal is told as one', async () => {
    const client = await start()
    expect(await (await client.sh('kill -TERM $$').closed()).exit()).toEqual([1, 15, 0])
  })

  run('stdin goes in, and EOF ends it', async () => {
    const client = await start()
    const channel = client.spawn(['cat'])
    await channel.wait(T.OPENED)
    channel.data('hello ')
    channel.data('world')
    channel.eof()
    await channel.closed()
    expect(channel.out.toString()).toBe('hello world')
  })

  run('EOF may follow SPAWN at once', async () => {
    const client = await start()
    for (const options of [{}, { monitor: true }, { pty: true as const }]) {
      const channel = client.spawn(['cat'], options)
      channel.eof()
      await channel.closed()
      expect(await channel.exit()).toEqual([0, 0, 0])
    }
  })

  run('a program that closes its stdin is told of once, and what still comes is dropped', async () => {
    const client = await start()
    const channel = client.sh('exec <&-; sleep 0.5; echo done')
    await channel.wait(T.UNREAD)
    channel.data('nobody reads this')
    await channel.closed()
    expect(channel.out.toString()).toBe('done\n')
    expect(channel.frames.filter((frame) => frame.type === T.UNREAD)).toHaveLength(1)
  })

  run('EXIT comes at once, EOF and CLOSED when the last holder of the pipes is gone', async () => {
    const client = await start()
    const channel = client.sh('(sleep 1; echo late) & exit 3')
    expect(await channel.exit(800)).toEqual([0, 3, 0])
    expect(channel.has(T.EOF)).toBeUndefined()
    await channel.closed()
    expect(channel.out.toString()).toBe('late\n')
  })

  run('an exec that fails says why', async () => {
    const client = await start()
    const folder = scratch()
    writeFileSync(join(folder, 'text'), 'echo a script without an interpreter line\n', { mode: 0o755 })
    writeFileSync(join(folder, 'plain'), 'x', { mode: 0o644 })
    const failures = []
    for (const program of ['/no/such', 'no-such-program', join(folder, 'plain'), join(folder, 'text'), '/etc', '']) {
      failures.push((await client.spawn([program]).closed()).failed)
    }
    expect(failures).toEqual([2, 2, 13, 8, 13, 2].map((errno) => ({ errno, stage: 2 })))
  })

  run('a name without a slash is sought on the PATH of the resulting environment', async () => {
    const client = await start()
    const folder = scratch()
    writeFileSync(join(folder, 'only-here'), '#!/bin/sh\necho found\n', { mode: 0o755 })
    const channel = await client.spawn(['only-here'], { env: [`PATH=/nowhere::${folder}:/bin:/usr/bin`] }).closed()
    expect(channel.out.toString()).toBe('found\n')
  })

  run('argv[0] is what it is told to be, arguments are kept byte for byte', async () => {
    const client = await start()
    const argv = ['-sh', '-c', 'printf "%s|" "$0" "$@"', 'zero', 'a b', '', "quo'te", '$HOME']
    const channel = await client.spawn(argv, { program: '/bin/sh' }).closed()
    expect(channel.out.toString()).toBe("zero|a b||quo'te|$HOME|")
    const name = await client.spawn(['-bash', '-c', 'echo $0'], { program: '/bin/bash' }).closed()
    expect(name.out.toString()).toBe('-bash\n')
  })

  run('env entries replace, extend and remove; the last of two counts', async () => {
    const client = await start({ env: { ...build.env, KEPT: 'kept', CHANGED: 'old', REMOVED: 'x' } })
    const env = ['CHANGED=new', 'REMOVED', 'ADDED=1', 'ADDED=2', 'EMPTY=', 'NEVER']
    const channel = await client.spawn(['/usr/bin/env'], { env }).closed()
    const lines = channel.out.toString().split('\n')
    expect(lines).toContain('KEPT=kept')
    expect(lines).toContain('CHANGED=new')
    expect(lines).toContain('EMPTY=')
    expect(lines.filter((line) => /^(REMOVED|NEVER|CHANGED=old)/.test(line))).toEqual([])
    expect(lines.filter((line) => line.startsWith('ADDED'))).toEqual(['ADDED=2'])
  })

  run('a cwd that cannot be entered is a warning, and the program runs in /', async () => {
    const client = await start()
    const good = await client.spawn(['pwd'], { cwd: realpathSync(tmpdir()) }).closed()
    expect(good.out.toString()).toBe(`${realpathSync(tmpdir())}\n`)
    const options = { cwd: '/no/such', warn: 'Could not chdir to home directory /no/such' }
    const channel = await client.spawn(['pwd'], options).closed()
    expect(channel.out.toString()).toBe('/\n')
    expect(channel.err.toString()).toBe('Could not chdir to home directory /no/such: No such file or directory\n')
  })

  run('the program gets three descriptors, umask 022, default signals, an empty mask and its own session', async () => {
    const client = await start()
    const script =
      'umask; ls /proc/$$/fd | tr "\\n" " "; grep -E "^(SigBlk|SigIgn|SigCgt)" /proc/$$/status; cut -d" " -f1,5,6 /proc/$$/stat'
    const channel = await client.spawn(['/bin/bash', '--norc', '-c', script]).closed()
    const [umask, fds, ...rest] = channel.out.toString().trim().split('\n')
    expect(umask).toBe('0022')
    const stat = rest.at(-1)?.split(' ')
    expect(new Set(stat).size).toBe(1)
    expect((fds + rest.join('\n')).replace(/\s+/g, ' ')).toContain('0 1 2')
    const ids = await client.spawn(['/bin/cat', '/proc/self/status']).closed()
    expect(ids.out.toString()).toMatch(/SigBlk:\t0+\nSigIgn:\t0+\nSigCgt:\t0+\n/)
    const ls = await client.spawn(['/bin/ls', '/proc/self/fd']).closed()
    expect(ls.out.toString()).toBe('0\n1\n2\n3\n')
  })

  run('the program has the descriptor limit that the helper was started with', async () => {
    const client = await start({ wrap: ['/bin/sh', '-c', 'ulimit -Sn 300; exec "$0" "$@"'] })
    expect((await client.sh('ulimit -Sn').closed()).out.toString()).toBe('300\n')
  })

  run('another process of its user cannot look into the helper, but into the program', async () => {
    const folder = scratch()
    const binary = join(folder, 'guest')
    copyFileSync(build.binary, binary)
    chmodSync(folder, 0o755)
    const wrap = [...AS_NOBODY, ...build.wrap]
    const client = await start({ binary, wrap })
    const program = client.spawn(['sleep', '60'])
    const pid = (await program.wait(T.OPENED)).payload.readUInt32BE(0)
    const look = `ls /proc/${client.process.pid}/fd; ls /proc/${pid}/fd`
    const channel = await client.sh(look).closed()
    expect(channel.err.toString()).toMatch(/^ls: cannot open directory .*: Permission denied\n$/)
    expect(channel.out.toString()).toBe('0\n1\n2\n')
    program.close()
  })

  run('nothing is left open after a hundred programs of every kind', async () => {
    const client = await start()
    const count = () => descriptors(client)
    await client.sh('true').closed()
    const before = count()
    for (let i = 0; i < 25; i++) {
      await client.sh('echo x').closed()
      await client.sh('echo x', { pty: true }).closed()
      await client.sh('echo x', { monitor: true }).closed()
      await client.spawn(['/no/such'], { monitor: true }).closed()
    }
    await expect.poll(count).toBe(before)
    await expect.poll(() => children(client)).toEqual([])
  })

  run('a request of a megabyte comes in PARTs', async () => {
    const client = await start()
    const env = Array.from({ length: 15 }, (_, i) => `BIG${i}=${'x'.repeat(64 * 1024)}`)
    const whole = spawnPayload(['/bin/sh', '-c', 'printenv BIG14 | wc -c'], { env })
    expect(whole.length).toBeGreaterThan(15 * 64 * 1024)
    const channel = client.channel(77)
    for (let at = 0; at < whole.length; at += 65536) {
      const piece = whole.subarray(at, at + 65536)
      channel.send(at + 65536 < whole.length ? T.PART : T.SPAWN, piece)
    }
    await channel.closed()
    expect(channel.out.toString()).toBe('65537\n')
  })
})
