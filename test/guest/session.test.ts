/** Sessions through the real helper in a real container. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { textOf } from '../../src/bytes/byte-text.ts'
import { streamOf } from '../../src/bytes/end-stream.ts'
import type { End } from '../../src/bytes/relay.ts'
import type { Guest } from '../../src/guest/guest.ts'
import { docker, startContainer, type TestContainer, testMark } from '../support/containers.ts'
import { until } from '../support/wait.ts'
import { Sink } from './fake-helper.ts'
import { DEV, LIMIT, openWorld, run, sh, spec, started, TTY, type World } from './world.ts'

const MIB = 1024 * 1024

describe.each([
  ['docker engine, exec stream', 'docker', false],
  ['docker engine, direct data path', 'docker', true],
  ['cli engine, exec stream', 'cli', false],
] as const)('sessions: %s', (_what, kind, direct) => {
  let world: World
  let container: TestContainer
  let guest: Guest

  beforeAll(async () => {
    world = await openWorld({ direct }, kind)
    container = await startContainer('debian')
    guest = await world.guest(container, DEV)
    if (direct) {
      const { dataPath } = await world.pool.explain(await world.inspect(container), DEV, LIMIT())
      expect(dataPath).toEqual({ direct: true, reason: 'gateway and engine share a host' })
    }
  })
  afterAll(async () => {
    await world?.close()
    await container?.remove()
  })

  it('returns every exit code and keeps stderr apart', async () => {
    for (const code of [0, 1, 7, 126, 127, 255]) {
      const ran = await sh(guest, `echo out; echo err >&2; exit ${code}`)
      expect(ran).toEqual({ status: { code }, out: 'out\n', err: 'err\n' })
    }
  })

  it.each(['HUP', 'INT', 'QUIT', 'KILL', 'TERM', 'USR1'])('tells the end by SIG%s', async (name) => {
    expect((await sh(guest, `kill -${name} $$`)).status).toMatchObject({ signal: name })
  })

  it('delivers signals to the program', async () => {
    const { exec, sink } = await started(
      guest,
      'trap "echo got; exit 5" USR1; echo ready; while :; do sleep 0.05; done',
    )
    await until('the trap', () => sink.text.includes('ready'))
    expect(exec.signal('USR1')).toBe(true)
    expect(await exec.exit).toEqual({ code: 5 })
    expect(sink.text).toContain('got')
  })

  it('takes argv and environment as bytes, argv[0] of a login shell', async () => {
    const bytes = Buffer.from([0xff, 0xfe, 0x20, 0x0a, 0x27])
    const sink = new Sink()
    const what = spec(['-bash', '-c', Buffer.concat([Buffer.from('printf %s "$0$BYTES$GONE" '), Buffer.from(' ')])], {
      program: '/bin/bash',
      env: [`BYTES=${textOf(bytes)}`, 'PATH=/bin', 'HOSTNAME'],
    })
    const exec = await guest.spawn(what, sink, LIMIT())
    exec.stdin.end()
    await exec.exit
    expect(Buffer.concat(sink.out)).toEqual(Buffer.concat([Buffer.from('-bash'), bytes]))
  })

  it('carries 120 kB of command and refuses what the kernel refuses', async () => {
    const long = 'x'.repeat(120_000)
    expect((await run(guest, spec(['printf', '%s', long]))).out).toBe(long)
    await expect(run(guest, spec(['printf', '%s', 'x'.repeat(200_000)]))).rejects.toMatchObject({ errno: 'E2BIG' })
  })

  it('is clean: no descriptors but 0 1 2, default signals, umask 022, own session', async () => {
    const { out } = await sh(guest, 'ls /proc/self/fd | wc -l; umask; grep -E "Sig(Blk|Ign)" /proc/self/status')
    // ls has its own descriptor of the folder.
    expect(out.split('\n').slice(0, 2)).toEqual(['4', '0022'])
    const masks = [...out.matchAll(/Sig\w+:\s+(\w+)/g)].map(([, mask]) => mask)
    expect(masks).toEqual(['0000000000000000', '0000000000000000'])
    expect((await sh(guest, 'test $(cut -d" " -f6 /proc/$$/stat) = $$ && echo leader')).out).toBe('leader\n')
  })

  it('runs in cwd, and in / with a warning where that cannot be entered', async () => {
    expect((await sh(guest, 'pwd', { cwd: '/usr/bin' })).out).toBe('/usr/bin\n')
    const ran = await sh(guest, 'pwd', { cwd: '/nosuch', cwdWarning: 'Could not chdir to home directory /nosuch' })
    expect(ran.out).toBe('/\n')
    expect(ran.err).toBe('Could not chdir to home directory /nosuch: No such file or directory\n')
  })

  it('tells a missing and a non-executable program apart', async () => {
    await expect(run(guest, spec(['/nosuch']))).rejects.toMatchObject({
      stage: 'exec',
      errno: 'ENOENT',
      exhausted: false,
    })
    await expect(run(guest, spec(['/etc/passwd']))).rejects.toMatchObject({ stage: 'exec', errno: 'EACCES' })
  })

  it('round-trips 8 MiB of binary with stdin’s end', async () => {
    const bytes = randomBytes(8 * MIB)
    const parts: Buffer[] = []
    const exec = await guest.spawn(
      spec(['cat']),
      { write: (_fd, chunk) => parts.push(Buffer.from(chunk)) > 0 },
      LIMIT(),
    )
    exec.stdin.end(bytes)
    expect(await exec.exit).toEqual({ code: 0 })
    expect(Buffer.concat(parts).equals(bytes)).toBe(true)
  })

  it('says when the program closed its stdin', async () => {
    const { exec } = await started(guest, 'exec <&-; sleep 1')
    let told = false
    exec.onUnread(() => {
      told = true
    })
    await until('to be told', () => told)
    exec.stdin.write(Buffer.alloc(3 * MIB))
    expect(await exec.exit).toEqual({ code: 0 })
  })

  it('without a terminal ends when the pipes are closed, not when the program is', async () => {
    const begin = performance.now()
    const { status, out } = await sh(guest, '(sleep 1; echo late) & exit 4')
    expect([status, out]).toEqual([{ code: 4 }, 'late\n'])
    expect(performance.now() - begin).toBeGreaterThan(900)
  })

  describe('a terminal', () => {
    it('is controlling, owned by the user, of the size and modes asked for', async () => {
      // RFC 4254 §8: VINTR (1) = ^X, ECHO (53) off, end.
      const modes = Buffer.from([1, 0, 0, 0, 24, 53, 0, 0, 0, 0, 0])
      const script = 'tty; stat -c "%U %a" $(tty); stty size; stty -a; : </dev/tty && echo controlling; echo $SSH_TTY'
      const { out } = await sh(guest, script, { tty: { ...TTY, cols: 101, rows: 41, modes } })
      expect(out).toMatch(/^(\/dev\/pts\/\d+)\r\ndev 6[02]0\r\n41 101\r\n/)
      expect(out).toMatch(/intr = \^X;/)
      expect(out).toMatch(/ -echo /)
      expect(out).toMatch(/controlling\r\n\/dev\/pts\/\d+\r\n$/)
    })

    it('is resized, with SIGWINCH', async () => {
      const { exec, sink } = await started(
        guest,
        'trap "stty size; exit" WINCH; echo ready; while :; do sleep 0.05; done',
        {
          tty: TTY,
        },
      )
      await until('the trap', () => sink.text.includes('ready'))
      exec.resize({ cols: 132, rows: 50 })
      expect(await exec.exit).toEqual({ code: 0 })
      expect(sink.text).toContain('50 132')
    })

    it('takes ^C as SIGINT, and end() as its end of file', async () => {
      const { exec, sink } = await started(
        guest,
        'trap "echo int; exit" INT; echo ready; while :; do sleep 0.05; done',
        { tty: TTY },
      )
      await until('ready', () => sink.text.includes('ready'))
      exec.stdin.write('\u0003')
      await until('the trap', () => sink.text.includes('int'))
      const second = await started(guest, 'cat; echo over', { tty: TTY })
      second.exec.stdin.end()
      expect(await second.exec.exit).toEqual({ code: 0 })
      expect(second.sink.text).toContain('over')
      exec.close()
    })

    it('loses nothing of a last burst', async () => {
      const { out } = await run(guest, spec(['seq', '1', '5000'], { tty: TTY }))
      expect(out.split('\r\n')).toHaveLength(5001)
    })
  })

  it('stalls the producer of a session that nobody reads, and grants again', async () => {
    const sink = new Sink()
    sink.open = false
    const mark = testMark()
    const exec = await guest.spawn(spec(['sh', '-c', `yes ${mark}`]), sink, LIMIT())
    let stalledAt = 0
    // How much of the credit is left at its end is the pieces' to say.
    await until('the credit to be used', async () => {
      stalledAt = sink.bytes
      await sleep(500)
      return sink.bytes > 100 * 1024 && sink.bytes === stalledAt
    })
    expect(stalledAt).toBeLessThanOrEqual(256 * 1024)
    // Others go on meanwhile.
    expect((await sh(guest, 'echo quick')).out).toBe('quick\n')
    sink.open = true
    exec.resume()
    await until('it to go on', () => sink.bytes > stalledAt + 4 * MIB)
    exec.close()
    await until('yes to be gone', async () => (await container.count(mark)) === 0)
  })

  it('shares one helper fairly among 100 channels', async () => {
    const sinks = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const ran = await run(guest, spec(['sh', '-c', `head -c 100000 /dev/zero; echo ${i}`]))
        return ran.out.slice(-4).trim()
      }),
    )
    expect(sinks.map((out) => Number(out.replace(/\0/g, '')))).toEqual(Array.from({ length: 100 }, (_, i) => i))
  })

  it('close() hangs up the session, spares what left it, and killTree spares nothing', async () => {
    for (const killTree of [false, true]) {
      const [plain, detached] = [testMark(), testMark()]
      const script = `perl -e 'sleep 60' ${plain} & setsid perl -e 'sleep 60' ${detached} & echo up; wait`
      const { exec, sink } = await started(guest, script, { tty: TTY, killTree })
      await until('both to run', async () => (await container.count(plain)) + (await container.count(detached)) >= 2)
      await until('up', () => sink.text.includes('up'))
      exec.close()
      await until('the session to be gone', async () => (await container.count(plain)) === 0)
      if (killTree) await until('the tree to be gone', async () => (await container.count(detached)) === 0, 15_000)
      else expect(await container.count(detached, 'kill')).toBeGreaterThan(0)
    }
  })

  it('connects to a socket inside with half-close, and says what was refused', async () => {
    const script = `import socket,sys
s=socket.socket(); s.bind(("127.0.0.1",0)); s.listen(); print(s.getsockname()[1],flush=True)
c,_=s.accept(); data=b""
while True:
  d=c.recv(65536)
  if not d: break
  data+=d
c.sendall(b"got %d" % len(data)); c.close()`
    const sink = new Sink()
    const exec = await guest.spawn(spec(['python3', '-c', script]), sink, LIMIT())
    await until('a port', () => sink.text.includes('\n'))
    const port = Number(sink.text)
    const socket = streamOf(await guest.connect({ kind: 'tcp', host: 'localhost', port }, LIMIT()))
    socket.end(Buffer.alloc(3 * MIB))
    expect(Buffer.concat(await socket.toArray()).toString()).toBe(`got ${3 * MIB}`)
    await exec.exit
    // "localhost" is ::1 as well, which a container without IPv6 has not.
    for (const host of ['127.0.0.1', 'localhost'])
      await expect(guest.connect({ kind: 'tcp', host, port: 1 }, LIMIT())).rejects.toMatchObject({
        errno: 'ECONNREFUSED',
      })
    await expect(guest.connect({ kind: 'unix', path: '/tmp/nosuch' }, LIMIT())).rejects.toMatchObject({
      errno: 'ENOENT',
    })
  })

  it('sends on to who has ended its own sending, and reads slowly', async () => {
    const script = `import socket,time
s=socket.socket(); s.bind(("127.0.0.1",0)); s.listen(); print(s.getsockname()[1],flush=True)
c,_=s.accept(); c.shutdown(socket.SHUT_WR); time.sleep(1); n=0
while True:
  d=c.recv(65536)
  if not d: break
  n+=len(d)
print("got",n,flush=True)`
    const sink = new Sink()
    const exec = await guest.spawn(spec(['python3', '-c', script]), sink, LIMIT())
    await until('a port', () => sink.text.includes('\n'))
    const socket = streamOf(await guest.connect({ kind: 'tcp', host: 'localhost', port: Number(sink.text) }, LIMIT()))
    await once(socket.resume(), 'end')
    socket.end(Buffer.alloc(16 * MIB))
    await exec.exit
    expect(sink.text).toContain(`got ${16 * MIB}\n`)
  })

  it('listens inside on tcp and unix, and frees what it bound', async () => {
    const got: string[] = []
    const accept = ({ end }: { end: End }) => {
      const stream = streamOf(end)
      stream.on('data', (chunk: Buffer) => got.push(chunk.toString()))
      stream.on('end', () => stream.end('bye'))
    }
    const tcp = await guest.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, accept, LIMIT())
    expect((await sh(guest, `echo one | nc -N 127.0.0.1 ${tcp.port}`)).out).toBe('bye')
    await tcp.close()
    expect((await sh(guest, `nc -zN 127.0.0.1 ${tcp.port}`)).status).toEqual({ code: 1 })
    const path = `/tmp/${testMark()}`
    const unix = await guest.listen({ kind: 'unix', path, mode: 0o600, unlink: false }, accept, LIMIT())
    expect((await sh(guest, `stat -c %a ${path}; echo two | nc -NU ${path}`)).out).toBe('600\nbye')
    await unix.close()
    expect((await sh(guest, `test -e ${path}`)).status).toEqual({ code: 1 })
    expect(got).toEqual(['one\n', 'two\n'])
  })

  it('speaks sftp', async () => {
    const sink = new Sink()
    const exec = await guest.sftp({ directory: '/', readOnly: false }, sink, LIMIT())
    exec.stdin.write(Buffer.from([0, 0, 0, 5, 1, 0, 0, 0, 3]))
    await until('SSH_FXP_VERSION', () => Buffer.concat(sink.out)[4] === 2)
    exec.stdin.end()
    expect(await exec.exit).toEqual({ code: 0 })
  })

  it('leaves no process and no zombie behind', async () => {
    await until('sessions to be gone', async () => {
      const rows = await docker('top', container.name, '-eo', 'pid,stat,args')
      return (
        !/ Z/.test(rows) && rows.split('\n').filter((row) => !/sleep 86400|while :|serve|STAT/.test(row)).length === 0
      )
    })
  })
})
